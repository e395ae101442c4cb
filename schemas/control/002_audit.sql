-- The audit log of one control database: an RFC 6962 tree whose leaves are the stored byte strings.
-- Append only. The auditor's role (sluice_auditor) may insert and may move the head on; nobody may change
-- or remove an entry. Workers (sluice_worker) read entries and search columns for the officers' RPCs.
-- Salts and the person index stand apart, so that dropping a salt erases what a digest could still prove
-- while leaves and proofs stay valid.

CREATE SCHEMA audit;

-- The head: one row whose lock orders all appenders of all gateways. `frontier` is the tree's size in
-- 8 bytes and the roots of its complete subtrees, the largest first. `epoch` fences appenders: raising it
-- shuts out those that started before.
CREATE TABLE audit.head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    origin text NOT NULL DEFAULT '', -- set by the first append
    size bigint NOT NULL CHECK (size >= 0),
    frontier bytea NOT NULL,
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    epoch bigint NOT NULL DEFAULT 1
);
INSERT INTO audit.head (size, frontier, root)
VALUES (0, '\x0000000000000000', sha256(''));

CREATE TABLE audit.entry (
    index bigint PRIMARY KEY CHECK (index >= 0),
    leaf bytea NOT NULL CHECK (octet_length(leaf) BETWEEN 1 AND 16384),
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    -- search columns: a verifier compares them with the leaf
    id uuid NOT NULL,
    time_us bigint NOT NULL,
    kind smallint NOT NULL,
    outcome smallint NOT NULL,
    subject text NOT NULL,
    department text NOT NULL,
    owner text NOT NULL,
    dataset text NOT NULL,
    agreement text NOT NULL,
    purpose text NOT NULL,
    exchange_id uuid
) PARTITION BY RANGE (index);
CREATE INDEX entry_by_subject ON audit.entry (subject, time_us);
CREATE INDEX entry_by_dataset ON audit.entry (dataset, time_us);
CREATE INDEX entry_by_agreement ON audit.entry (agreement, index);
CREATE INDEX entry_by_exchange ON audit.entry (exchange_id);

-- Unpartitioned, so that an id is in the log once.
CREATE TABLE audit.entry_id (
    id uuid PRIMARY KEY,
    index bigint NOT NULL
);

-- Batches, by which an appender that lost the answer to its COMMIT finds out what became of it.
CREATE TABLE audit.batch (
    id uuid PRIMARY KEY,
    first bigint NOT NULL,
    count integer NOT NULL CHECK (count > 0),
    committed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE audit.salt (
    entry_id uuid PRIMARY KEY,
    wrapped bytea NOT NULL -- AES-256-GCM under the officers' key: nonce, ciphertext, tag
);

CREATE TABLE audit.person (
    key bytea NOT NULL CHECK (octet_length(key) = 32),
    index bigint NOT NULL,
    PRIMARY KEY (key, index)
);

-- --- append only ------------------------------------------------------------------------------------

CREATE FUNCTION audit.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append only' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit.entry
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER append_only_all BEFORE TRUNCATE ON audit.entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.entry_id
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.batch
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON audit.head
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

CREATE FUNCTION audit.head_grows() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    IF NEW.size < OLD.size
       OR NEW.epoch < OLD.epoch
       OR (NEW.size = OLD.size AND NEW.root <> OLD.root)
       OR (OLD.origin <> '' AND NEW.origin <> OLD.origin)
    THEN
        RAISE EXCEPTION 'the head of the audit log only grows' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER head_grows BEFORE UPDATE ON audit.head
    FOR EACH ROW EXECUTE FUNCTION audit.head_grows();

-- --- partitions -------------------------------------------------------------------------------------

-- Makes the partitions that hold indexes up to and including `upto`, and answers the first index that has
-- none yet. Runs as the owner, because the auditor's role owns no table. A partition is made apart and then
-- attached, which does not wait for readers of the log.
CREATE FUNCTION audit.ensure_partition(upto bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    rows_per_partition CONSTANT bigint := 10000000;
    -- Old partitions may have been moved away, so the newest counts, not their number.
    newest CONSTANT text := 'SELECT coalesce(max(right(c.relname, 6)::bigint) + 1, 0) '
                            'FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid '
                            'WHERE i.inhparent = ''audit.entry''::regclass';
    next_number bigint;
    name text;
BEGIN
    EXECUTE newest INTO next_number;
    IF next_number * rows_per_partition > upto THEN
        RETURN next_number * rows_per_partition;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('sluice audit.ensure_partition'));
    EXECUTE newest INTO next_number;
    WHILE next_number * rows_per_partition <= upto LOOP
        name := 'entry_' || lpad(next_number::text, 6, '0');
        EXECUTE format('CREATE TABLE audit.%I (LIKE audit.entry INCLUDING ALL)', name);
        EXECUTE format('CREATE TRIGGER append_only_all BEFORE TRUNCATE ON audit.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', name);
        EXECUTE format('ALTER TABLE audit.entry ATTACH PARTITION audit.%I FOR VALUES FROM (%s) TO (%s)',
                       name, next_number * rows_per_partition, (next_number + 1) * rows_per_partition);
        next_number := next_number + 1;
    END LOOP;
    RETURN next_number * rows_per_partition;
END
$$;
SELECT audit.ensure_partition(0);

-- --- appending --------------------------------------------------------------------------------------

-- Locks the head and tells what an appender must know: the head itself; where batch `p_batch` begins if it
-- was committed; which of `p_ids` are in the log already (16 bytes id, 8 bytes index each); and the leaf
-- hashes from index `p_from` on, NULL when they are more than `p_tail_max`.
-- Each statement of the body sees what was committed before it, so the look-ups, behind the lock, miss
-- nothing.
CREATE FUNCTION audit.lock_head(p_batch uuid, p_ids uuid[], p_from bigint, p_tail_max integer,
    OUT origin text, OUT size bigint, OUT root bytea, OUT epoch bigint,
    OUT batch_first bigint, OUT known bytea, OUT tail bytea)
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    SELECT h.origin, h.size, h.root, h.epoch INTO origin, size, root, epoch
        FROM audit.head h FOR UPDATE;
    SELECT b.first INTO batch_first FROM audit.batch b WHERE b.id = p_batch;
    SELECT coalesce(string_agg(uuid_send(e.id) || int8send(e.index), ''), '') INTO known
        FROM audit.entry_id e WHERE e.id = ANY (p_ids);
    IF size - p_from <= p_tail_max THEN
        SELECT coalesce(string_agg(e.leaf_hash, '' ORDER BY e.index), '') INTO tail
            FROM audit.entry e WHERE e.index >= p_from AND e.index < size;
    END IF;
END
$$;

-- Appends a batch behind a head of exactly `p_size` and `p_root` and answers true; when the head is another
-- one by now (another gateway appended, or the epoch was raised), changes nothing and answers false.
-- `p_starts` and `p_lengths` cut `p_leaves`; `p_hashes` has 32 bytes for each. Persons name their entry by
-- its position in the batch, from 0.
CREATE FUNCTION audit.append(p_batch uuid, p_origin text, p_size bigint, p_root bytea, p_epoch bigint,
    p_new_frontier bytea, p_new_root bytea, p_ids uuid[], p_leaves bytea, p_starts integer[],
    p_lengths integer[], p_hashes bytea, p_times bigint[], p_kinds smallint[], p_subjects text[],
    p_departments text[], p_owners text[], p_datasets text[], p_agreements text[], p_purposes text[],
    p_outcomes smallint[], p_exchanges uuid[], p_salts bytea[], p_person_items integer[],
    p_persons bytea[])
    RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    UPDATE audit.head h
        SET origin = p_origin, size = h.size + cardinality(p_ids), frontier = p_new_frontier,
            root = p_new_root
        WHERE h.size = p_size AND h.root = p_root AND h.epoch = p_epoch
          AND (h.origin = p_origin OR (h.origin = '' AND h.size = 0));
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO audit.batch (id, first, count) VALUES (p_batch, p_size, cardinality(p_ids));
    INSERT INTO audit.entry_id (id, index)
        SELECT u.id, p_size + u.n - 1 FROM unnest(p_ids) WITH ORDINALITY AS u (id, n);
    INSERT INTO audit.entry (index, leaf, leaf_hash, id, time_us, kind, outcome, subject, department,
                             owner, dataset, agreement, purpose, exchange_id)
        SELECT p_size + u.n - 1, substring(p_leaves FROM u.start FOR u.len),
               substring(p_hashes FROM ((u.n - 1) * 32 + 1)::integer FOR 32), u.id, u.time_us, u.kind,
               u.outcome, u.subject, u.department, u.owner, u.dataset, u.agreement, u.purpose,
               u.exchange_id
        FROM unnest(p_ids, p_starts, p_lengths, p_times, p_kinds, p_outcomes, p_subjects,
                    p_departments, p_owners, p_datasets, p_agreements, p_purposes, p_exchanges)
             WITH ORDINALITY AS u (id, start, len, time_us, kind, outcome, subject, department, owner,
                                   dataset, agreement, purpose, exchange_id, n);
    INSERT INTO audit.salt (entry_id, wrapped)
        SELECT u.id, u.wrapped FROM unnest(p_ids, p_salts) AS u (id, wrapped)
        WHERE u.wrapped IS NOT NULL;
    IF cardinality(p_persons) > 0 THEN
        INSERT INTO audit.person (key, index)
            SELECT DISTINCT u.key, p_size + u.item
            FROM unnest(p_persons, p_person_items) AS u (key, item);
    END IF;
    RETURN true;
END
$$;

-- --- who may do what --------------------------------------------------------------------------------

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit FROM PUBLIC;

GRANT USAGE ON SCHEMA audit TO sluice_auditor, sluice_worker;
GRANT INSERT ON audit.entry, audit.entry_id, audit.batch, audit.salt, audit.person TO sluice_auditor;
GRANT SELECT ON audit.head, audit.entry_id, audit.batch TO sluice_auditor;
GRANT SELECT (index, leaf_hash) ON audit.entry TO sluice_auditor;
GRANT UPDATE (origin, size, frontier, root) ON audit.head TO sluice_auditor;
GRANT EXECUTE ON FUNCTION audit.ensure_partition(bigint),
    audit.lock_head(uuid, uuid[], bigint, integer),
    audit.append(uuid, text, bigint, bytea, bigint, bytea, bytea, uuid[], bytea, integer[], integer[],
        bytea, bigint[], smallint[], text[], text[], text[], text[], text[], text[], smallint[], uuid[],
        bytea[], integer[], bytea[])
    TO sluice_auditor;

GRANT SELECT ON audit.head, audit.entry, audit.entry_id TO sluice_worker;
