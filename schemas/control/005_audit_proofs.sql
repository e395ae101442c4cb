-- Proofs of the audit log: roots of complete subtrees of 256, 65,536, ... leaves, so that a proof reads a
-- few hundred hashes however long the log is. They are derived from the leaf hashes and nobody trusts
-- them: each proof is checked against the signed checkpoint before it leaves.

CREATE TABLE audit.node (
    level smallint NOT NULL CHECK (level IN (8, 16, 24, 32)),
    index bigint NOT NULL CHECK (index >= 0), -- covers leaves [index << level, (index + 1) << level)
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (level, index)
);

-- RFC 6962 root over 256 hashes of level `p_level` - 8 from `p_index` * 256 on; NULL when one is missing.
CREATE FUNCTION audit.node_hash(p_level integer, p_index bigint) RETURNS bytea
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog
    AS $$
DECLARE
    h bytea[];
BEGIN
    IF p_level = 8 THEN
        SELECT array_agg(e.leaf_hash ORDER BY e.index) INTO h FROM audit.entry e
            WHERE e.index >= p_index * 256 AND e.index < (p_index + 1) * 256;
    ELSE
        SELECT array_agg(n.hash ORDER BY n.index) INTO h FROM audit.node n
            WHERE n.level = p_level - 8 AND n.index >= p_index * 256 AND n.index < (p_index + 1) * 256;
    END IF;
    IF coalesce(cardinality(h), 0) <> 256 THEN
        RETURN NULL;
    END IF;
    FOR round IN 1 .. 8 LOOP
        SELECT array_agg(sha256('\x01' || h[2 * i - 1] || h[2 * i]) ORDER BY i) INTO h
            FROM generate_series(1, cardinality(h) / 2) AS i;
    END LOOP;
    RETURN h[1];
END
$$;

-- Adds nodes that a log of `p_size` leaves has and the table has not, at most `p_max` of them, and answers
-- whether all are there now. Runs as the owner, because workers may not write here.
CREATE FUNCTION audit.fill_nodes(p_size bigint, p_max integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    known bigint;
    wanted bigint;
    added bytea;
    left_over integer := p_max;
BEGIN
    FOR i IN 1 .. 4 LOOP
        wanted := p_size >> (8 * i);
        SELECT coalesce(max(n.index) + 1, 0) INTO known FROM audit.node n WHERE n.level = 8 * i;
        WHILE known < wanted LOOP
            IF left_over = 0 THEN
                RETURN false;
            END IF;
            added := audit.node_hash(8 * i, known);
            IF added IS NULL THEN
                RETURN false;
            END IF;
            INSERT INTO audit.node (level, index, hash) VALUES (8 * i, known, added)
                ON CONFLICT DO NOTHING;
            known := known + 1;
            left_over := left_over - 1;
        END LOOP;
    END LOOP;
    RETURN true;
END
$$;

-- Hashes for a proof: for each position i the `p_counts[i]` hashes of level `p_levels[i]` (0: leaves) from
-- `p_starts[i]` on, one behind the other.
CREATE FUNCTION audit.hashes(p_levels integer[], p_starts bigint[], p_counts integer[])
    RETURNS TABLE (hashes bytea)
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT CASE WHEN w.level = 0
        THEN (SELECT string_agg(e.leaf_hash, '' ORDER BY e.index) FROM audit.entry e
              WHERE e.index >= w.start AND e.index < w.start + w.count)
        ELSE (SELECT string_agg(n.hash, '' ORDER BY n.index) FROM audit.node n
              WHERE n.level = w.level AND n.index >= w.start AND n.index < w.start + w.count)
        END
    FROM unnest(p_levels, p_starts, p_counts) WITH ORDINALITY AS w (level, start, count, position)
    ORDER BY w.position
$$;

REVOKE ALL ON FUNCTION audit.node_hash(integer, bigint), audit.fill_nodes(bigint, integer),
    audit.hashes(integer[], bigint[], integer[]) FROM PUBLIC;
GRANT SELECT ON audit.node, audit.batch TO sluice_worker;
GRANT EXECUTE ON FUNCTION audit.fill_nodes(bigint, integer),
    audit.hashes(integer[], bigint[], integer[]) TO sluice_worker;
