-- How long the audit log is kept: floors that the law sets, legal holds, erasing one entry's salt, and moving old
-- entries into an archive. Whatever goes, goes by these rules, which triggers check again for everybody, the
-- tables' owner included: the log stays append only above its minimum index, and a salt stays until two officers
-- have erased it.

-- --- floors -----------------------------------------------------------------------------------------

-- usage: who used which data for what is kept for three years at least (政务数据共享条例 Art. 29, 网络数据安全管理条例
-- Art. 12, 个人信息保护法 Art. 56). network: what only tells of refused connections, six months (网络安全法 Art. 23).
CREATE TABLE audit.retention (
    class text PRIMARY KEY CHECK (class IN ('usage', 'network')),
    days integer NOT NULL CHECK (days <= 36525),
    CONSTRAINT legal_floor CHECK (days >= CASE class WHEN 'usage' THEN 1096 ELSE 183 END)
);
INSERT INTO audit.retention (class, days) VALUES ('usage', 1096), ('network', 183);
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON audit.retention
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

-- What a gateway's configuration asks for counts when it is longer; making it shorter again takes the owner.
CREATE FUNCTION audit.keep_longer(p_usage_days integer, p_network_days integer) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    UPDATE audit.retention r SET days = w.days
        FROM (VALUES ('usage', p_usage_days), ('network', p_network_days)) AS w (class, days)
        WHERE r.class = w.class AND r.days < w.days
$$;

CREATE FUNCTION audit.keep_days(p_class text) RETURNS integer
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$ SELECT r.days FROM audit.retention r WHERE r.class = p_class $$;

-- Clocks of gateways stand in the entries; when a batch was committed is the database's own clock, which an
-- appender cannot set.
REVOKE INSERT ON audit.batch FROM sluice_auditor;
GRANT INSERT (id, first, count) ON audit.batch TO sluice_auditor;
CREATE INDEX batch_by_first ON audit.batch (first);

-- When the newest of the batches that have an entry in [p_first, p_upto) was committed; now, when nobody knows.
CREATE FUNCTION audit.committed_at(p_first bigint, p_upto bigint) RETURNS timestamptz
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT coalesce(max(b.committed_at), now()) FROM audit.batch b
        WHERE b.first < p_upto
          AND b.first >= coalesce((SELECT max(c.first) FROM audit.batch c WHERE c.first <= p_first), p_first)
$$;

-- An entry of `p_class` that began at `p_time_us` and was committed at `p_committed` may go.
CREATE FUNCTION audit.kept_long_enough(p_class text, p_time_us bigint, p_committed timestamptz) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT greatest(to_timestamp(0) + p_time_us * interval '1 microsecond', p_committed)
           <= now() - audit.keep_days(p_class) * interval '1 day'
$$;

-- --- legal holds ------------------------------------------------------------------------------------

-- Of the entries that concern the department that placed it, a hold covers those that meet all of its scope.
-- Nothing that a hold covers is erased or pruned, whichever department asks. `from` is included, `to` is not.
CREATE TABLE audit.hold (
    id uuid PRIMARY KEY,
    department text NOT NULL, -- of the officer who placed it
    reason text NOT NULL CHECK (octet_length(reason) BETWEEN 1 AND 512),
    time_from_us bigint,
    time_to_us bigint,
    index_from bigint,
    index_to bigint,
    scope_department text, -- whose system called, or whose data it was
    dataset text,
    agreement text,
    exchange_id uuid,
    placed_by text NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT now(),
    lift_reason text CHECK (octet_length(lift_reason) BETWEEN 1 AND 512),
    lift_requested_by text,
    lift_requested_at timestamptz,
    lifted_by text,
    lifted_at timestamptz,
    CONSTRAINT scope CHECK (num_nonnulls(time_from_us, time_to_us, index_from, index_to, scope_department, dataset,
                                         agreement, exchange_id) > 0),
    CHECK (num_nonnulls(lift_reason, lift_requested_by, lift_requested_at) IN (0, 3)),
    CHECK ((lifted_by IS NULL) = (lifted_at IS NULL)),
    CHECK (lifted_by IS NULL OR lift_requested_by IS NOT NULL),
    CONSTRAINT two_officers CHECK (lifted_by <> lift_requested_by)
);
CREATE INDEX hold_by_department ON audit.hold (department, id);
CREATE INDEX hold_standing ON audit.hold (id) WHERE lifted_at IS NULL;

CREATE FUNCTION audit.hold_steps() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.lift_requested_by IS NULL AND NEW.lifted_by IS NULL THEN
            RETURN NEW;
        END IF;
    ELSIF OLD.lifted_at IS NULL AND NEW.lift_requested_by IS NOT NULL
       -- The request that was there is approved, or a new one made: never both at once.
       AND (NEW.lifted_at IS NULL
            OR (NEW.lift_reason, NEW.lift_requested_by, NEW.lift_requested_at)
               IS NOT DISTINCT FROM (OLD.lift_reason, OLD.lift_requested_by, OLD.lift_requested_at))
       AND (NEW.id, NEW.department, NEW.reason, NEW.time_from_us, NEW.time_to_us, NEW.index_from, NEW.index_to,
            NEW.scope_department, NEW.dataset, NEW.agreement, NEW.exchange_id, NEW.placed_by, NEW.placed_at)
           IS NOT DISTINCT FROM
           (OLD.id, OLD.department, OLD.reason, OLD.time_from_us, OLD.time_to_us, OLD.index_from, OLD.index_to,
            OLD.scope_department, OLD.dataset, OLD.agreement, OLD.exchange_id, OLD.placed_by, OLD.placed_at)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a legal hold can only be lifted, by two officers' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER hold_steps BEFORE INSERT OR UPDATE ON audit.hold
    FOR EACH ROW EXECUTE FUNCTION audit.hold_steps();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON audit.hold
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

-- A hold that stands and covers an entry of [p_first, p_upto); NULL: none does.
CREATE FUNCTION audit.hold_over(p_first bigint, p_upto bigint) RETURNS uuid
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT h.id FROM audit.hold h
        WHERE h.lifted_at IS NULL AND EXISTS (
            SELECT FROM audit.entry e
            WHERE e.index >= greatest(p_first, h.index_from) AND e.index < least(p_upto, h.index_to)
              AND (e.department = h.department OR e.owner = h.department)
              AND (h.time_from_us IS NULL OR e.time_us >= h.time_from_us)
              AND (h.time_to_us IS NULL OR e.time_us < h.time_to_us)
              AND (h.scope_department IS NULL OR e.department = h.scope_department OR e.owner = h.scope_department)
              AND (h.dataset IS NULL OR e.dataset = h.dataset)
              AND (h.agreement IS NULL OR e.agreement = h.agreement)
              AND (h.exchange_id IS NULL OR e.exchange_id = h.exchange_id))
        ORDER BY h.id LIMIT 1
$$;

-- Placing holds, erasing and pruning go one after the other, so that none of them overlooks another.
CREATE FUNCTION audit.one_by_one() RETURNS void
    LANGUAGE sql SET search_path = pg_catalog
    AS $$ SELECT pg_advisory_xact_lock(hashtext('sluice audit.retention')) $$;

CREATE FUNCTION audit.place_hold(p_id uuid, p_department text, p_officer text, p_reason text,
    p_time_from_us bigint, p_time_to_us bigint, p_index_from bigint, p_index_to bigint, p_scope_department text,
    p_dataset text, p_agreement text, p_exchange uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    PERFORM audit.one_by_one();
    INSERT INTO audit.hold (id, department, reason, time_from_us, time_to_us, index_from, index_to,
                            scope_department, dataset, agreement, exchange_id, placed_by)
        VALUES (p_id, p_department, p_reason, p_time_from_us, p_time_to_us, p_index_from, p_index_to,
                p_scope_department, p_dataset, p_agreement, p_exchange, p_officer);
END
$$;

-- Asks for a hold to be lifted, in the place of a request that was there. False: there is no such hold any more.
CREATE FUNCTION audit.request_lift(p_id uuid, p_department text, p_officer text, p_reason text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    UPDATE audit.hold h SET lift_reason = p_reason, lift_requested_by = p_officer, lift_requested_at = now()
        WHERE h.id = p_id AND h.department = p_department AND h.lifted_at IS NULL;
    RETURN FOUND;
END
$$;

-- Answers whether it was lifted by this call. The second officer is another one of the department that placed it.
CREATE FUNCTION audit.lift_hold(p_id uuid, p_department text, p_officer text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    UPDATE audit.hold h SET lifted_by = p_officer, lifted_at = now()
        WHERE h.id = p_id AND h.department = p_department AND h.lifted_at IS NULL
          AND h.lift_requested_by <> p_officer;
    RETURN FOUND;
END
$$;

-- --- erasing a salt ---------------------------------------------------------------------------------

-- Both officers are of the department whose data it is; of an entry without an owner, of the calling department.
-- A request that nobody approves ends.
CREATE TABLE audit.erasure (
    id uuid PRIMARY KEY,
    index bigint NOT NULL,
    entry_id uuid NOT NULL,
    dataset text NOT NULL,
    department text NOT NULL,
    reason text NOT NULL CHECK (octet_length(reason) BETWEEN 1 AND 512),
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    approved_by text,
    approved_at timestamptz,
    expires_at timestamptz NOT NULL,
    CHECK ((approved_by IS NULL) = (approved_at IS NULL)),
    CONSTRAINT two_officers CHECK (approved_by <> requested_by)
);
CREATE INDEX erasure_by_department ON audit.erasure (department, id);
CREATE INDEX erasure_by_index ON audit.erasure (index);
CREATE INDEX erasure_by_entry ON audit.erasure (entry_id);

-- Why an entry's salt cannot be erased: SALT_ABSENT, LEGAL_HOLD or RETENTION_FLOOR; NULL: it can.
-- With the salt goes what the log can still prove about whose data was provided, so for an answer it is part of
-- the record of use, whose three years come first (个人信息保护法 Art. 47, second paragraph). Where nothing was
-- provided, six months do.
CREATE FUNCTION audit.erasure_refusal(p_index bigint) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT CASE
        WHEN s.entry_id IS NULL THEN 'SALT_ABSENT'
        WHEN audit.hold_over(p_index, p_index + 1) IS NOT NULL THEN 'LEGAL_HOLD'
        WHEN NOT audit.kept_long_enough(CASE e.outcome WHEN 1 THEN 'usage' ELSE 'network' END, e.time_us,
                                        audit.committed_at(p_index, p_index + 1)) THEN 'RETENTION_FLOOR'
        END
    FROM (VALUES (1)) AS one (row) LEFT JOIN audit.entry e ON e.index = p_index
        LEFT JOIN audit.salt s ON s.entry_id = e.id
$$;

CREATE FUNCTION audit.erasure_once() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
DECLARE
    refusal text;
BEGIN
    IF (TG_OP = 'INSERT' AND NEW.approved_by IS NOT NULL)
       OR (TG_OP = 'UPDATE'
           AND (OLD.approved_by IS NOT NULL OR OLD.expires_at <= now() OR NEW.approved_by IS NULL
                OR (NEW.id, NEW.index, NEW.entry_id, NEW.dataset, NEW.department, NEW.reason, NEW.requested_by,
                    NEW.requested_at, NEW.expires_at)
                   IS DISTINCT FROM
                   (OLD.id, OLD.index, OLD.entry_id, OLD.dataset, OLD.department, OLD.reason, OLD.requested_by,
                    OLD.requested_at, OLD.expires_at)))
    THEN
        RAISE EXCEPTION 'an erasure can only be approved, once and before it expires'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        refusal := audit.erasure_refusal(NEW.index);
        IF refusal IS NOT NULL THEN
            RAISE EXCEPTION 'the salt of entry % cannot be erased: %', NEW.index, refusal
                USING ERRCODE = 'insufficient_privilege';
        END IF;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER erasure_once BEFORE INSERT OR UPDATE ON audit.erasure
    FOR EACH ROW EXECUTE FUNCTION audit.erasure_once();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON audit.erasure
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

-- Answers '' when it was asked for, else why not: NOT_OWNER or what audit.erasure_refusal says.
CREATE FUNCTION audit.request_erasure(p_id uuid, p_index bigint, p_department text, p_officer text,
    p_reason text, p_days integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    refusal text;
BEGIN
    IF NOT EXISTS (SELECT FROM audit.entry e WHERE e.index = p_index
                   AND p_department = CASE WHEN e.owner <> '' THEN e.owner ELSE e.department END)
    THEN
        RETURN 'NOT_OWNER';
    END IF;
    refusal := audit.erasure_refusal(p_index);
    IF refusal IS NOT NULL THEN
        RETURN refusal;
    END IF;
    INSERT INTO audit.erasure (id, index, entry_id, dataset, department, reason, requested_by, expires_at)
        SELECT p_id, e.index, e.id, e.dataset, p_department, p_reason, p_officer,
               now() + p_days * interval '1 day'
        FROM audit.entry e WHERE e.index = p_index;
    RETURN '';
END
$$;

-- Answers '' when the salt was erased by this call, else why not: ERASURE_OVER (approved or expired, or the caller
-- is not a second officer of the department) or what audit.erasure_refusal says. What the person index has of the
-- entry goes too: its values are keyed alike in all entries and would still tell who was in this answer.
CREATE FUNCTION audit.approve_erasure(p_id uuid, p_department text, p_officer text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    found_erasure audit.erasure;
    refusal text;
BEGIN
    PERFORM audit.one_by_one();
    SELECT * INTO found_erasure FROM audit.erasure x
        WHERE x.id = p_id AND x.department = p_department AND x.requested_by <> p_officer
          AND x.approved_by IS NULL AND x.expires_at > now() FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'ERASURE_OVER';
    END IF;
    refusal := audit.erasure_refusal(found_erasure.index);
    IF refusal IS NOT NULL THEN
        RETURN refusal;
    END IF;
    UPDATE audit.erasure x SET approved_by = p_officer, approved_at = now() WHERE x.id = p_id;
    DELETE FROM audit.salt s WHERE s.entry_id = found_erasure.entry_id;
    DELETE FROM audit.person p WHERE p.index = found_erasure.index;
    RETURN '';
END
$$;

-- Rows come in the order of their entries, so a small summary finds those of one entry, and appending keeps no
-- further index.
CREATE INDEX person_by_entry ON audit.person USING brin (index) WITH (pages_per_range = 16, autosummarize = on);

-- --- pruning ----------------------------------------------------------------------------------------

-- Entries below the minimum index are in archives only; their hashes stay, so that every proof stays possible.
CREATE TABLE audit.minimum (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    index bigint NOT NULL CHECK (index >= 0 AND index % 1024 = 0) -- whole tiles, and whole blocks of sums
);
INSERT INTO audit.minimum (index) VALUES (0);

CREATE TABLE audit.hash_tile (
    tile bigint PRIMARY KEY CHECK (tile >= 0),
    hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192) -- of leaves [tile * 256, (tile + 1) * 256)
);

-- Archives that were written, read back and told to the log: nothing is pruned that is in none.
CREATE TABLE audit.archive (
    manifest bytea PRIMARY KEY CHECK (octet_length(manifest) = 32), -- SHA-256 of its manifest
    first bigint NOT NULL,
    upto bigint NOT NULL,
    entry_index bigint NOT NULL, -- of the entry that tells of it
    announced_by text NOT NULL,
    announced_at timestamptz NOT NULL DEFAULT now(),
    CHECK (first >= 0 AND first < upto AND upto <= entry_index)
);

-- Entries below this one are old enough to be archived: whole blocks only.
CREATE FUNCTION audit.archivable() RETURNS bigint
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT least(
        (SELECT e.index FROM audit.entry e
            WHERE e.index >= m.index
              AND NOT audit.kept_long_enough(CASE e.kind WHEN 9 THEN 'network' ELSE 'usage' END, e.time_us,
                                             to_timestamp(0))
            ORDER BY e.index LIMIT 1),
        (SELECT b.first FROM audit.batch b
            WHERE b.committed_at > now() - audit.keep_days('usage') * interval '1 day' ORDER BY b.first LIMIT 1),
        h.size) / 1024 * 1024
    FROM audit.minimum m, audit.head h
$$;

-- Notes an archive that entry `p_entry` tells of. False, and nothing noted: it has entries that are too young, or
-- does not begin at the minimum index.
CREATE FUNCTION audit.announce_archive(p_manifest bytea, p_first bigint, p_upto bigint, p_entry bigint,
    p_officer text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    IF p_first <> (SELECT m.index FROM audit.minimum m) OR p_upto > audit.archivable() THEN
        RETURN false;
    END IF;
    INSERT INTO audit.archive (manifest, first, upto, entry_index, announced_by)
        VALUES (p_manifest, p_first, p_upto, p_entry, p_officer) ON CONFLICT DO NOTHING;
    RETURN true;
END
$$;

CREATE FUNCTION audit.minimum_rises() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
DECLARE
    held uuid;
    committed timestamptz;
    young bigint;
BEGIN
    IF NEW.index <= OLD.index OR NEW.index > (SELECT h.size FROM audit.head h)
       OR NOT EXISTS (SELECT FROM audit.archive a WHERE a.first = OLD.index AND a.upto = NEW.index)
    THEN
        RAISE EXCEPTION 'only an archive that begins at the minimum index (%) can be pruned', OLD.index
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    held := audit.hold_over(OLD.index, NEW.index);
    IF held IS NOT NULL THEN
        RAISE EXCEPTION 'legal hold % covers entries of the range', held USING ERRCODE = 'insufficient_privilege';
    END IF;
    committed := audit.committed_at(OLD.index, NEW.index);
    SELECT min(e.index) INTO young FROM audit.entry e
        WHERE e.index >= OLD.index AND e.index < NEW.index
          AND NOT audit.kept_long_enough(CASE e.kind WHEN 9 THEN 'network' ELSE 'usage' END, e.time_us, committed);
    IF young IS NOT NULL THEN
        RAISE EXCEPTION 'entry % is younger than it has to be kept', young USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF (SELECT count(*) FROM audit.hash_tile t WHERE t.tile >= OLD.index / 256 AND t.tile < NEW.index / 256)
       <> (NEW.index - OLD.index) / 256
    THEN
        RAISE EXCEPTION 'the hashes of the range are not kept' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER minimum_rises BEFORE UPDATE ON audit.minimum
    FOR EACH ROW EXECUTE FUNCTION audit.minimum_rises();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON audit.minimum
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.hash_tile
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.archive
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

-- What may go: what an archive holds, and what two officers have erased.
CREATE FUNCTION audit.goes() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
DECLARE
    minimum bigint := (SELECT m.index FROM audit.minimum m);
    gone boolean;
BEGIN
    IF TG_TABLE_NAME = 'salt' THEN
        gone := EXISTS (SELECT FROM audit.erasure x WHERE x.entry_id = OLD.entry_id AND x.approved_by IS NOT NULL)
                OR EXISTS (SELECT FROM audit.entry_id i WHERE i.id = OLD.entry_id AND i.index < minimum);
    ELSIF TG_TABLE_NAME = 'person' THEN
        gone := OLD.index < minimum OR EXISTS (SELECT FROM audit.erasure x
                                               WHERE x.index = OLD.index AND x.approved_by IS NOT NULL);
    ELSIF TG_TABLE_NAME = 'batch' THEN
        gone := OLD.first + OLD.count <= minimum;
    ELSE
        gone := OLD.index < minimum;
    END IF;
    IF NOT gone THEN
        RAISE EXCEPTION 'the audit log is append only' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;

DROP TRIGGER append_only ON audit.entry;
CREATE TRIGGER append_only BEFORE UPDATE ON audit.entry
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER goes BEFORE DELETE ON audit.entry
    FOR EACH ROW EXECUTE FUNCTION audit.goes();
DROP TRIGGER append_only ON audit.entry_id;
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON audit.entry_id
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER goes BEFORE DELETE ON audit.entry_id
    FOR EACH ROW EXECUTE FUNCTION audit.goes();
DROP TRIGGER append_only ON audit.batch;
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON audit.batch
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER goes BEFORE DELETE ON audit.batch
    FOR EACH ROW EXECUTE FUNCTION audit.goes();
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON audit.salt
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER goes BEFORE DELETE ON audit.salt
    FOR EACH ROW EXECUTE FUNCTION audit.goes();
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON audit.person
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER goes BEFORE DELETE ON audit.person
    FOR EACH ROW EXECUTE FUNCTION audit.goes();

-- Removes the entries of an announced archive that begins at the minimum index, and what hangs on them: salts,
-- person index, ids, batches. Hashes, subtrees and sums stay, and the few key events, which evidence of later
-- entries needs. Answers the new minimum index. For operators: no
-- role of the gateway may call it.
CREATE FUNCTION audit.prune(p_manifest bytea) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    archive audit.archive;
    from_index bigint;
    whole boolean;
BEGIN
    PERFORM audit.one_by_one();
    SELECT m.index INTO from_index FROM audit.minimum m FOR UPDATE;
    SELECT * INTO archive FROM audit.archive a WHERE a.manifest = p_manifest;
    IF NOT FOUND OR archive.first <> from_index THEN
        RAISE EXCEPTION 'only an archive that begins at the minimum index (%) can be pruned', from_index
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- Proofs and statistics need no entry of the range any more. Each statement sees what the one before it did.
    whole := audit.fill_nodes(archive.upto, 2147483647);
    PERFORM audit.summarise(2147483647);
    IF NOT whole OR coalesce((SELECT max(s.block) FROM audit.summary s), -1) < archive.upto / 1024 - 1 THEN
        RAISE EXCEPTION 'subtrees or sums of the range are not whole' USING ERRCODE = 'data_corrupted';
    END IF;
    INSERT INTO audit.hash_tile (tile, hashes)
        SELECT e.index / 256, string_agg(e.leaf_hash, '' ORDER BY e.index) FROM audit.entry e
        WHERE e.index >= from_index AND e.index < archive.upto GROUP BY e.index / 256;
    UPDATE audit.minimum SET index = archive.upto;
    DELETE FROM audit.salt s USING audit.entry e
        WHERE e.index >= from_index AND e.index < archive.upto AND s.entry_id = e.id;
    DELETE FROM audit.person p WHERE p.index >= from_index AND p.index < archive.upto;
    DELETE FROM audit.entry_id i USING audit.entry e
        WHERE e.index >= from_index AND e.index < archive.upto AND e.kind <> 5 AND i.id = e.id;
    DELETE FROM audit.batch b WHERE b.first < archive.upto AND b.first + b.count <= archive.upto;
    DELETE FROM audit.entry e WHERE e.index >= from_index AND e.index < archive.upto AND e.kind <> 5;
    RETURN archive.upto;
END
$$;

-- As it was, and hashes of entries that were pruned from where they are kept.
CREATE OR REPLACE FUNCTION audit.hashes(p_levels integer[], p_starts bigint[], p_counts integer[])
    RETURNS TABLE (hashes bytea)
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT CASE
        WHEN w.level = 0 AND w.start < (SELECT m.index FROM audit.minimum m)
        THEN (SELECT substring(t.hashes FROM (w.start % 256 * 32 + 1)::integer FOR w.count * 32)
              FROM audit.hash_tile t WHERE t.tile = w.start / 256)
        WHEN w.level = 0
        THEN (SELECT string_agg(e.leaf_hash, '' ORDER BY e.index) FROM audit.entry e
              WHERE e.index >= w.start AND e.index < w.start + w.count)
        ELSE (SELECT string_agg(n.hash, '' ORDER BY n.index) FROM audit.node n
              WHERE n.level = w.level AND n.index >= w.start AND n.index < w.start + w.count)
        END
    FROM unnest(p_levels, p_starts, p_counts) WITH ORDINALITY AS w (level, start, count, position)
    ORDER BY w.position
$$;

-- --- who may do what --------------------------------------------------------------------------------

REVOKE ALL ON FUNCTION audit.keep_longer(integer, integer), audit.keep_days(text), audit.committed_at(bigint, bigint),
    audit.kept_long_enough(text, bigint, timestamptz), audit.hold_steps(), audit.hold_over(bigint, bigint),
    audit.one_by_one(),
    audit.place_hold(uuid, text, text, text, bigint, bigint, bigint, bigint, text, text, text, uuid),
    audit.request_lift(uuid, text, text, text), audit.lift_hold(uuid, text, text), audit.erasure_refusal(bigint),
    audit.erasure_once(), audit.request_erasure(uuid, bigint, text, text, text, integer),
    audit.approve_erasure(uuid, text, text), audit.archivable(),
    audit.announce_archive(bytea, bigint, bigint, bigint, text), audit.minimum_rises(), audit.goes(),
    audit.prune(bytea) FROM PUBLIC;
GRANT SELECT ON audit.retention, audit.hold, audit.erasure, audit.minimum, audit.hash_tile, audit.archive
    TO sluice_worker;
GRANT EXECUTE ON FUNCTION audit.keep_longer(integer, integer),
    audit.place_hold(uuid, text, text, text, bigint, bigint, bigint, bigint, text, text, text, uuid),
    audit.request_lift(uuid, text, text, text), audit.lift_hold(uuid, text, text),
    audit.request_erasure(uuid, bigint, text, text, text, integer), audit.approve_erasure(uuid, text, text),
    audit.announce_archive(bytea, bigint, bigint, bigint, text)
    TO sluice_worker;
