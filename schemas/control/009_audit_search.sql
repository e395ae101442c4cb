-- Search and statistics of the audit log without an index that each append would have to keep: the write path
-- is what limits the log. Instead each block of 1,024 entries, once whole, is summed up into a few rows, one for
-- each combination of what officers search by. Search skips blocks in which no combination fits; statistics add
-- the sums up. Entries behind the last whole block are read as they are, so both are exact at any moment, also
-- while sums are behind. What names few entries (an exchange, a person) has an index of its own already.

-- Nothing reads these: they cost a quarter of the append rate.
DROP INDEX audit.entry_by_subject;
DROP INDEX audit.entry_by_dataset;
DROP INDEX audit.entry_by_agreement;
-- Key events are few; other kinds do not touch this index.
CREATE INDEX entry_key_events ON audit.entry (index) WHERE kind = 5;

CREATE TABLE audit.summary (
    block bigint NOT NULL CHECK (block >= 0), -- entries [block * 1024, (block + 1) * 1024)
    number smallint NOT NULL,
    day date NOT NULL, -- in Asia/Shanghai, as in control.exchange_day()
    time_min bigint NOT NULL,
    time_max bigint NOT NULL,
    kind smallint NOT NULL,
    outcome smallint NOT NULL,
    subject text NOT NULL,
    department text NOT NULL,
    owner text NOT NULL,
    dataset text NOT NULL,
    agreement text NOT NULL,
    purpose text NOT NULL,
    entries integer NOT NULL CHECK (entries BETWEEN 1 AND 1024),
    calls bigint NOT NULL CHECK (calls >= 0),
    PRIMARY KEY (block, number)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.summary
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

CREATE FUNCTION audit.day_of(p_time_us bigint) RETURNS date
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog
    AS $$
    SELECT ((to_timestamp(0) + p_time_us * interval '1 microsecond') AT TIME ZONE 'Asia/Shanghai')::date
$$;

-- Field 18, stands_for, of a stored entry: 0 when it has none or is no protobuf message.
CREATE FUNCTION audit.stands_for(p_leaf bytea) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog
    AS $$
DECLARE
    size CONSTANT integer := octet_length(p_leaf);
    at integer := 0;
    tag bigint := -1; -- -1: a tag comes next; otherwise the varint at hand is its value or length
    value numeric;
    factor numeric;
    byte integer;
    found bigint := 0;
BEGIN
    WHILE at < size LOOP
        value := 0;
        factor := 1;
        LOOP
            IF at >= size OR factor > 9223372036854775808 THEN
                RETURN 0;
            END IF;
            byte := get_byte(p_leaf, at);
            at := at + 1;
            value := value + (byte & 127) * factor;
            factor := factor * 128;
            EXIT WHEN byte < 128;
        END LOOP;
        IF tag = -1 THEN
            IF value > 4294967295 THEN
                RETURN 0;
            END IF;
            tag := value;
            IF tag & 7 IN (1, 5) THEN
                at := at + CASE WHEN tag & 7 = 1 THEN 8 ELSE 4 END;
                tag := -1;
            ELSIF tag & 7 NOT IN (0, 2) THEN
                RETURN 0;
            END IF;
        ELSE
            IF tag & 7 = 2 THEN
                IF value > size - at THEN
                    RETURN 0;
                END IF;
                at := at + value::integer;
            ELSIF tag = 18 * 8 THEN
                found := least(value, 9223372036854775807)::bigint;
            END IF;
            tag := -1;
        END IF;
    END LOOP;
    RETURN CASE WHEN at = size AND tag = -1 THEN found ELSE 0 END;
END
$$;

-- How many calls an entry stands for: a shared denial entry (kind 9) for those it shares, any other for one.
CREATE FUNCTION audit.calls_of(p_kind smallint, p_leaf bytea) RETURNS bigint
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog
    AS $$
    SELECT CASE WHEN p_kind = 9 THEN audit.stands_for(p_leaf) ELSE 1 END
$$;

-- Sums up whole blocks that have no sums yet, at most `p_max` of them, and answers whether none is left. When
-- another connection is at it, answers false at once. Runs as the owner, because workers may not write here.
CREATE FUNCTION audit.summarise(p_max integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    next_block bigint;
    wanted bigint;
    summed bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('sluice audit.summarise')) THEN
        RETURN false;
    END IF;
    SELECT h.size / 1024 INTO wanted FROM audit.head h;
    SELECT coalesce(max(s.block) + 1, 0) INTO next_block FROM audit.summary s;
    FOR i IN 1 .. p_max LOOP
        EXIT WHEN next_block >= wanted;
        WITH sums AS (
            INSERT INTO audit.summary (block, number, day, time_min, time_max, kind, outcome, subject,
                                       department, owner, dataset, agreement, purpose, entries, calls)
            SELECT next_block, row_number() OVER (), audit.day_of(e.time_us), min(e.time_us),
                   max(e.time_us), e.kind, e.outcome, e.subject, e.department, e.owner, e.dataset,
                   e.agreement, e.purpose, count(*), sum(audit.calls_of(e.kind, e.leaf))
            FROM audit.entry e WHERE e.index >= next_block * 1024 AND e.index < (next_block + 1) * 1024
            GROUP BY audit.day_of(e.time_us), e.kind, e.outcome, e.subject, e.department, e.owner,
                     e.dataset, e.agreement, e.purpose
            RETURNING entries)
        SELECT sum(sums.entries) INTO summed FROM sums;
        IF summed IS DISTINCT FROM 1024 THEN
            RAISE EXCEPTION 'block % of the audit log is not whole', next_block USING ERRCODE = 'data_corrupted';
        END IF;
        next_block := next_block + 1;
    END LOOP;
    RETURN next_block >= wanted;
END
$$;

-- Entries that concern `p_concerns` (its systems asked, or its data was asked for), with an index above
-- `p_above` and below `p_below`: the newest first, or with `p_oldest_first` the oldest. NULL filters nothing;
-- times are microseconds from 1970, `p_time_to` is excluded. Runs as the owner: workers may not read the person
-- index by itself.
CREATE FUNCTION audit.search(p_concerns text, p_department text, p_owner text, p_dataset text,
    p_agreement text, p_purpose text, p_subject text, p_kind smallint, p_outcome smallint,
    p_time_from bigint, p_time_to bigint, p_exchange uuid, p_person bytea, p_above bigint,
    p_below bigint, p_oldest_first boolean, p_limit bigint)
    RETURNS TABLE (index bigint, leaf bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog
    -- Blocks and entries are walked in their order and left when enough are found, whatever is known of the
    -- tables' contents: sums are added in bulk, long before anything analyses them.
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
    AS $$
DECLARE
    -- Both tables have these columns; planned anew with the values, so that absent filters vanish.
    filters CONSTANT text :=
        ' AND (t.department = $1 OR t.owner = $1) AND ($2 IS NULL OR t.department = $2)'
        ' AND ($3 IS NULL OR t.owner = $3) AND ($4 IS NULL OR t.dataset = $4)'
        ' AND ($5 IS NULL OR t.agreement = $5) AND ($6 IS NULL OR t.purpose = $6)'
        ' AND ($7 IS NULL OR t.subject = $7) AND ($8 IS NULL OR t.kind = $8)'
        ' AND ($9 IS NULL OR t.outcome = $9)';
    entries CONSTANT text :=
        ' AND ($10 IS NULL OR t.time_us >= $10) AND ($11 IS NULL OR t.time_us < $11)'
        ' AND t.index >= $12 AND t.index < $13' || filters || ' ORDER BY t.index'
        || CASE WHEN p_oldest_first THEN '' ELSE ' DESC' END || ' LIMIT $14';
    by_range CONSTANT text := 'SELECT t.index, t.leaf FROM audit.entry t WHERE true' || entries;
    blocks CONSTANT text :=
        ' FROM audit.summary t WHERE t.block >= $12 AND t.block < $13'
        ' AND ($10 IS NULL OR t.time_max >= $10) AND ($11 IS NULL OR t.time_min < $11)' || filters
        || ' ORDER BY t.block' || CASE WHEN p_oldest_first THEN '' ELSE ' DESC' END || ' LIMIT 1';
    low bigint := greatest(p_above + 1, 0);
    high bigint := p_below;
    left_over bigint := p_limit;
    tail bigint; -- where the entries without sums begin
    block bigint;
    found bigint;
BEGIN
    IF p_person IS NOT NULL OR p_exchange IS NOT NULL THEN
        -- An exchange has few entries: all of them are read, then put in order.
        RETURN QUERY EXECUTE
            CASE WHEN p_exchange IS NULL THEN ''
                 ELSE 'WITH few AS MATERIALIZED (SELECT * FROM audit.entry e WHERE e.exchange_id = $15) ' END
            || 'SELECT t.index, t.leaf FROM '
            || CASE WHEN p_exchange IS NULL THEN 'audit.entry t' ELSE 'few t' END
            || CASE WHEN p_person IS NULL THEN ' WHERE true'
                    ELSE ' JOIN audit.person p ON p.index = t.index WHERE p.key = $16' END || entries
            USING p_concerns, p_department, p_owner, p_dataset, p_agreement, p_purpose, p_subject, p_kind,
                  p_outcome, p_time_from, p_time_to, low, high, p_limit, p_exchange, p_person;
        RETURN;
    END IF;
    SELECT coalesce(max(s.block) + 1, 0) * 1024 INTO tail FROM audit.summary s;
    IF NOT p_oldest_first AND high > tail THEN
        RETURN QUERY EXECUTE by_range
            USING p_concerns, p_department, p_owner, p_dataset, p_agreement, p_purpose, p_subject, p_kind,
                  p_outcome, p_time_from, p_time_to, greatest(low, tail), high, left_over;
        GET DIAGNOSTICS found = ROW_COUNT;
        left_over := left_over - found;
        high := tail;
    END IF;
    WHILE left_over > 0 AND low < least(high, tail) LOOP
        EXECUTE 'SELECT t.block' || blocks INTO block
            USING p_concerns, p_department, p_owner, p_dataset, p_agreement, p_purpose, p_subject, p_kind,
                  p_outcome, p_time_from, p_time_to, low / 1024, (least(high, tail) + 1023) / 1024;
        EXIT WHEN block IS NULL;
        RETURN QUERY EXECUTE by_range
            USING p_concerns, p_department, p_owner, p_dataset, p_agreement, p_purpose, p_subject, p_kind,
                  p_outcome, p_time_from, p_time_to, greatest(low, block * 1024),
                  least(high, (block + 1) * 1024), left_over;
        GET DIAGNOSTICS found = ROW_COUNT;
        left_over := left_over - found;
        IF p_oldest_first THEN
            low := (block + 1) * 1024;
        ELSE
            high := block * 1024;
        END IF;
    END LOOP;
    IF p_oldest_first AND left_over > 0 AND high > tail THEN
        RETURN QUERY EXECUTE by_range
            USING p_concerns, p_department, p_owner, p_dataset, p_agreement, p_purpose, p_subject, p_kind,
                  p_outcome, p_time_from, p_time_to, greatest(low, tail), high, left_over;
    END IF;
END
$$;

-- Sums over the entries that concern `p_concerns`, of the days from `p_from` to `p_to` (NULL: any), grouped by
-- the columns named in `p_by`; a column that is not named answers NULL. One snapshot: `log_size` is how many
-- entries the log had in it, and its rows are sums over exactly those.
CREATE FUNCTION audit.statistics(p_concerns text, p_from date, p_to date, p_by text[], p_limit bigint)
    RETURNS TABLE (log_size bigint, day date, department text, owner text, dataset text, kind smallint,
                   outcome smallint, entries bigint, calls bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    WITH sums AS (
        SELECT s.day, s.department, s.owner, s.dataset, s.kind, s.outcome, s.entries, s.calls
        FROM audit.summary s WHERE s.department = p_concerns OR s.owner = p_concerns
        UNION ALL
        SELECT audit.day_of(e.time_us), e.department, e.owner, e.dataset, e.kind, e.outcome, 1,
               audit.calls_of(e.kind, e.leaf)
        FROM audit.entry e
        WHERE e.index >= (SELECT coalesce(max(s.block) + 1, 0) * 1024 FROM audit.summary s)
          AND (e.department = p_concerns OR e.owner = p_concerns)),
    grouped AS (
        SELECT CASE WHEN 'day' = ANY (p_by) THEN s.day END AS day,
               CASE WHEN 'department' = ANY (p_by) THEN s.department END AS department,
               CASE WHEN 'owner' = ANY (p_by) THEN s.owner END AS owner,
               CASE WHEN 'dataset' = ANY (p_by) THEN s.dataset END AS dataset,
               CASE WHEN 'kind' = ANY (p_by) THEN s.kind END AS kind,
               CASE WHEN 'outcome' = ANY (p_by) THEN s.outcome END AS outcome,
               sum(s.entries)::bigint AS entries, sum(s.calls)::bigint AS calls
        FROM sums s WHERE (p_from IS NULL OR s.day >= p_from) AND (p_to IS NULL OR s.day <= p_to)
        GROUP BY 1, 2, 3, 4, 5, 6
        ORDER BY 1, 2, 3, 4, 5, 6 LIMIT p_limit)
    SELECT h.size, g.* FROM audit.head h LEFT JOIN grouped g ON true
$$;

-- --- saved filters: each officer's own, by name ------------------------------------------------------

CREATE TABLE control.audit_filter (
    department text NOT NULL,
    officer text NOT NULL,
    name text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 64),
    search bytea NOT NULL CHECK (octet_length(search) <= 16384), -- sluice.v1.SearchAuditRequest
    saved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (department, officer, name)
);

-- Answers false, and saves nothing, when the officer has `p_max` others already.
CREATE FUNCTION control.audit_filter_save(p_department text, p_officer text, p_name text, p_search bytea,
    p_max integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('sluice control.audit_filter'),
                                  hashtext(p_department || '/' || p_officer));
    IF (SELECT count(*) FROM control.audit_filter f WHERE f.department = p_department
        AND f.officer = p_officer AND f.name <> p_name) >= p_max
    THEN
        RETURN false;
    END IF;
    INSERT INTO control.audit_filter AS f (department, officer, name, search)
        VALUES (p_department, p_officer, p_name, p_search)
        ON CONFLICT ON CONSTRAINT audit_filter_pkey
        DO UPDATE SET search = excluded.search, saved_at = excluded.saved_at;
    RETURN true;
END
$$;

-- --- opening salts: one officer asks, another one approves -------------------------------------------

-- Who knows an entry's salt can try values against its digests, so it takes two officers, and the second is one
-- of the department whose data it is. A request that nobody approves ends, and so does an approval.
CREATE TABLE audit.opening (
    id uuid PRIMARY KEY,
    index bigint NOT NULL,
    entry_id uuid NOT NULL,
    dataset text NOT NULL,
    department text NOT NULL, -- of the officer who asks
    approver_department text NOT NULL,
    reason text NOT NULL CHECK (octet_length(reason) BETWEEN 1 AND 512),
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    approved_by text,
    approved_at timestamptz,
    expires_at timestamptz NOT NULL,
    CHECK ((approved_by IS NULL) = (approved_at IS NULL)),
    CONSTRAINT two_officers CHECK (approved_by <> requested_by)
);
CREATE INDEX opening_by_department ON audit.opening (department, id);
CREATE INDEX opening_by_approver ON audit.opening (approver_department, id);
CREATE INDEX opening_by_index ON audit.opening (index);

CREATE FUNCTION audit.opening_once() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    IF OLD.approved_by IS NOT NULL OR OLD.expires_at <= now() OR NEW.approved_by IS NULL
       OR (NEW.id, NEW.index, NEW.entry_id, NEW.dataset, NEW.department, NEW.approver_department, NEW.reason,
           NEW.requested_by, NEW.requested_at)
          IS DISTINCT FROM
          (OLD.id, OLD.index, OLD.entry_id, OLD.dataset, OLD.department, OLD.approver_department, OLD.reason,
           OLD.requested_by, OLD.requested_at)
    THEN
        RAISE EXCEPTION 'an opening can only be approved, once and before it expires'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER opening_once BEFORE UPDATE ON audit.opening
    FOR EACH ROW EXECUTE FUNCTION audit.opening_once();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON audit.opening
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

-- Answers false, and asks for nothing, when the entry has no salt: nothing in it was salted, or it was erased.
-- Its owner's officers approve; of an entry without an owner those of the calling department.
CREATE FUNCTION audit.request_opening(p_id uuid, p_index bigint, p_department text, p_officer text,
    p_reason text, p_days integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    INSERT INTO audit.opening (id, index, entry_id, dataset, department, approver_department, reason,
                               requested_by, expires_at)
        SELECT p_id, e.index, e.id, e.dataset, p_department,
               CASE WHEN e.owner <> '' THEN e.owner ELSE e.department END, p_reason, p_officer,
               now() + p_days * interval '1 day'
        FROM audit.entry e JOIN audit.salt s ON s.entry_id = e.id
        WHERE e.index = p_index AND (e.department = p_department OR e.owner = p_department);
    RETURN FOUND;
END
$$;

-- Answers whether it was approved by this call. The second officer is another one, of the approving department.
CREATE FUNCTION audit.approve_opening(p_id uuid, p_department text, p_officer text, p_days integer)
    RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    UPDATE audit.opening o
        SET approved_by = p_officer, approved_at = now(), expires_at = now() + p_days * interval '1 day'
        WHERE o.id = p_id AND o.approver_department = p_department AND o.requested_by <> p_officer
          AND o.approved_by IS NULL AND o.expires_at > now();
    RETURN FOUND;
END
$$;

-- The wrapped salt of an entry that is open now, for one of the two officers who opened it; no row otherwise.
CREATE FUNCTION audit.opened_salt(p_index bigint, p_entry uuid, p_officer text)
    RETURNS TABLE (id uuid, entry_id uuid, wrapped bytea, requested_by text, approved_by text,
                   reason text, approved_us bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    SELECT o.id, o.entry_id, s.wrapped, o.requested_by, o.approved_by, o.reason,
           (extract(epoch FROM o.approved_at) * 1000000)::bigint
    FROM audit.opening o JOIN audit.salt s ON s.entry_id = o.entry_id
    WHERE o.index = CASE WHEN p_entry IS NULL THEN p_index
                         ELSE (SELECT i.index FROM audit.entry_id i WHERE i.id = p_entry) END
      AND o.approved_by IS NOT NULL AND o.expires_at > now()
      AND p_officer IN (o.requested_by, o.approved_by)
    ORDER BY o.id DESC LIMIT 1
$$;

REVOKE ALL ON FUNCTION audit.day_of(bigint), audit.stands_for(bytea), audit.calls_of(smallint, bytea),
    audit.summarise(integer),
    audit.search(text, text, text, text, text, text, text, smallint, smallint, bigint, bigint, uuid, bytea,
        bigint, bigint, boolean, bigint),
    audit.statistics(text, date, date, text[], bigint),
    audit.request_opening(uuid, bigint, text, text, text, integer),
    audit.approve_opening(uuid, text, text, integer), audit.opened_salt(bigint, uuid, text),
    audit.opening_once(), control.audit_filter_save(text, text, text, bytea, integer) FROM PUBLIC;
GRANT SELECT ON audit.summary, audit.opening TO sluice_worker;
GRANT SELECT, DELETE ON control.audit_filter TO sluice_worker;
GRANT EXECUTE ON FUNCTION audit.summarise(integer),
    audit.search(text, text, text, text, text, text, text, smallint, smallint, bigint, bigint, uuid, bytea,
        bigint, bigint, boolean, bigint),
    audit.statistics(text, date, date, text[], bigint),
    audit.request_opening(uuid, bigint, text, text, text, integer),
    audit.approve_opening(uuid, text, text, integer), audit.opened_salt(bigint, uuid, text),
    control.audit_filter_save(text, text, text, bytea, integer) TO sluice_worker;
