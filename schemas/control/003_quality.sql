-- Quality: the quarantine store, and the runs that assessed a dataset.
-- No row of a department and no identifier stands here: a key is a keyed digest, and the place by which the
-- gateway finds the row again is sealed (AES-256-GCM). Only the gateway's workers can open it, and only an
-- officer of the owning department can make them.
-- Workers (sluice_worker) read these tables and write them through the functions below alone, so that caps,
-- counts and the end of a run hold whatever a worker does.

-- --- quarantine -------------------------------------------------------------------------------------

CREATE TABLE control.quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    key_digest bytea NOT NULL CHECK (octet_length(key_digest) = 32),
    field text NOT NULL, -- '': the row as a whole
    rule text NOT NULL,
    code text NOT NULL,
    state smallint NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 4), -- sluice.v1.QuarantineItem.State
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    judged_at timestamptz, -- of the last replay
    count bigint NOT NULL CHECK (count > 0),
    exchange_id uuid NOT NULL, -- of the last call or run that met the row
    place bytea NOT NULL CHECK (octet_length(place) BETWEEN 28 AND 1024),
    row_digest bytea NOT NULL CHECK (octet_length(row_digest) = 32),
    fields bytea NOT NULL CHECK (octet_length(fields) <= 128), -- of the plan that read the row
    UNIQUE (dataset, key_digest, field, rule, code)
);
CREATE INDEX quarantine_by_state ON control.quarantine (dataset, state, last_seen);
CREATE INDEX quarantine_by_age ON control.quarantine (dataset, last_seen);

-- What identifies a row never changes.
CREATE FUNCTION control.quarantine_immutable() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    IF (NEW.id, NEW.dataset, NEW.key_digest, NEW.field, NEW.rule, NEW.code, NEW.first_seen)
       IS DISTINCT FROM
       (OLD.id, OLD.dataset, OLD.key_digest, OLD.field, OLD.rule, OLD.code, OLD.first_seen)
       OR NEW.count < OLD.count
    THEN
        RAISE EXCEPTION 'what identifies a quarantined row does not change';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER quarantine_immutable BEFORE UPDATE ON control.quarantine
    FOR EACH ROW EXECUTE FUNCTION control.quarantine_immutable();

-- Counts that go on whatever the store has room for.
CREATE TABLE control.quarantine_total (
    dataset text NOT NULL,
    field text NOT NULL,
    rule text NOT NULL,
    code text NOT NULL,
    sightings bigint NOT NULL,
    PRIMARY KEY (dataset, field, rule, code)
);

-- One row a dataset: its lock orders the writers, its number says how full the store is.
CREATE TABLE control.quarantine_size (
    dataset text PRIMARY KEY,
    held bigint NOT NULL DEFAULT 0,
    left_out bigint NOT NULL DEFAULT 0 -- sightings for which there was no room, or which had no place
);

-- The newest of several sightings of one row in a batch, with their number. Rows without a place are left out.
CREATE FUNCTION control.quarantine_newest(p_keys bytea[], p_places bytea[], p_rows bytea[],
    p_fields bytea[], p_exchanges uuid[], p_names text[], p_rules text[], p_codes text[])
    RETURNS TABLE (key bytea, place bytea, row_digest bytea, fields bytea, exchange uuid, name text,
                   rule text, code text, n bigint)
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog
    AS $$
    SELECT DISTINCT ON (u.key, u.name, u.rule, u.code) u.key, u.place, u.row_digest, u.fields,
           u.exchange, u.name, u.rule, u.code, count(*) OVER (PARTITION BY u.key, u.name, u.rule, u.code)
    FROM unnest(p_keys, p_places, p_rows, p_fields, p_exchanges, p_names, p_rules, p_codes)
         WITH ORDINALITY AS u (key, place, row_digest, fields, exchange, name, rule, code, i)
    WHERE u.key IS NOT NULL
    ORDER BY u.key, u.name, u.rule, u.code, u.i DESC
$$;

-- Notes a batch of sightings of one dataset. A NULL key is a row without a place: it is counted only. A row
-- that is met again is open again. Beyond p_rows_max the oldest mended and vanished rows go first; what
-- then still has no room is counted only.
CREATE FUNCTION control.quarantine_note(p_dataset text, p_keys bytea[], p_places bytea[], p_rows bytea[],
    p_fields bytea[], p_exchanges uuid[], p_names text[], p_rules text[], p_codes text[],
    p_rows_max integer, p_keep_days integer)
    RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    room bigint;
    removed bigint;
    fresh bigint;
BEGIN
    INSERT INTO control.quarantine_size (dataset) VALUES (p_dataset) ON CONFLICT DO NOTHING;
    SELECT p_rows_max - s.held INTO room FROM control.quarantine_size s
        WHERE s.dataset = p_dataset FOR UPDATE;
    INSERT INTO control.quarantine_total AS t (dataset, field, rule, code, sightings)
        SELECT p_dataset, u.name, u.rule, u.code, count(*)
        FROM unnest(p_names, p_rules, p_codes) AS u (name, rule, code) GROUP BY 2, 3, 4
        ON CONFLICT (dataset, field, rule, code) DO UPDATE SET sightings = t.sightings + EXCLUDED.sightings;
    DELETE FROM control.quarantine WHERE id IN
        (SELECT q.id FROM control.quarantine q
         WHERE q.dataset = p_dataset AND q.last_seen < now() - p_keep_days * interval '1 day'
         ORDER BY q.last_seen LIMIT 1000);
    GET DIAGNOSTICS removed = ROW_COUNT;
    room := room + removed;
    -- The lock above keeps other writers of this dataset out, so what is known stays known.
    SELECT count(*) INTO fresh
        FROM control.quarantine_newest(p_keys, p_places, p_rows, p_fields, p_exchanges, p_names, p_rules,
                                       p_codes) s
        WHERE NOT EXISTS (SELECT FROM control.quarantine q
                          WHERE q.dataset = p_dataset AND q.key_digest = s.key AND q.field = s.name
                            AND q.rule = s.rule AND q.code = s.code);
    IF fresh > room THEN
        DELETE FROM control.quarantine WHERE id IN
            (SELECT q.id FROM control.quarantine q WHERE q.dataset = p_dataset AND q.state IN (2, 4)
             ORDER BY q.last_seen LIMIT fresh - room);
        GET DIAGNOSTICS removed = ROW_COUNT;
        room := room + removed;
    END IF;
    INSERT INTO control.quarantine AS q (dataset, key_digest, field, rule, code, count, exchange_id, place,
                                         row_digest, fields)
        SELECT p_dataset, s.key, s.name, s.rule, s.code, s.n, s.exchange, s.place, s.row_digest, s.fields
        FROM (SELECT n.*, k.id IS NOT NULL AS known,
                     row_number() OVER (PARTITION BY k.id IS NOT NULL) AS place_in_line
              FROM control.quarantine_newest(p_keys, p_places, p_rows, p_fields, p_exchanges, p_names,
                                             p_rules, p_codes) n
              LEFT JOIN control.quarantine k
                ON k.dataset = p_dataset AND k.key_digest = n.key AND k.field = n.name
               AND k.rule = n.rule AND k.code = n.code) s
        WHERE s.known OR s.place_in_line <= room
        ON CONFLICT (dataset, key_digest, field, rule, code) DO UPDATE
            SET count = q.count + EXCLUDED.count, last_seen = now(), state = 1,
                exchange_id = EXCLUDED.exchange_id, place = EXCLUDED.place,
                row_digest = EXCLUDED.row_digest, fields = EXCLUDED.fields;
    UPDATE control.quarantine_size
        SET held = p_rows_max - room + least(fresh, greatest(room, 0)),
            left_out = left_out + fresh - least(fresh, greatest(room, 0))
                + (SELECT count(*) FROM unnest(p_keys) AS k (key) WHERE k.key IS NULL)
        WHERE dataset = p_dataset;
END
$$;

-- What a replay found. A row that was met again meanwhile stays open.
CREATE FUNCTION control.quarantine_judged(p_dataset text, p_ids bigint[], p_states smallint[],
    p_started timestamptz) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    UPDATE control.quarantine q SET state = u.state, judged_at = now()
    FROM unnest(p_ids, p_states) AS u (id, state)
    WHERE q.id = u.id AND q.dataset = p_dataset AND q.last_seen <= p_started
$$;

-- --- runs --------------------------------------------------------------------------------------------

CREATE TABLE control.quality_run (
    id uuid PRIMARY KEY,
    dataset text NOT NULL,
    state smallint NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 5), -- sluice.v1.QualityRun.State
    started_at timestamptz NOT NULL DEFAULT now(),
    beat_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    started_by text NOT NULL,
    schema_digest bytea NOT NULL CHECK (octet_length(schema_digest) = 32),
    rows_read bigint NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    filtered bigint NOT NULL DEFAULT 0,
    duplicates bigint NOT NULL DEFAULT 0,
    exceeded text NOT NULL DEFAULT '', -- the threshold that would stop a job
    keyed bigint NOT NULL DEFAULT 0, -- rows with a valid key that were compared
    keys bigint NOT NULL DEFAULT 0, -- different keys among them
    repeated bigint NOT NULL DEFAULT 0, -- rows equal in every field to an earlier one
    sampled integer NOT NULL DEFAULT 1, -- one key in so many was compared
    vintage text NOT NULL DEFAULT '', -- field that says how old a record is
    newest timestamptz,
    ages bigint[] NOT NULL DEFAULT '{}',
    CHECK ((state = 1) = (ended_at IS NULL)),
    -- The accounts of a run that ended well always balance.
    CHECK (state <> 2 OR rows_read = delivered + quarantined + filtered + duplicates)
);
CREATE INDEX quality_run_by_dataset ON control.quality_run (dataset, started_at DESC);
-- One at a time.
CREATE UNIQUE INDEX quality_run_running ON control.quality_run (dataset) WHERE state = 1;

CREATE TABLE control.quality_field (
    run uuid NOT NULL REFERENCES control.quality_run (id) ON DELETE CASCADE,
    position integer NOT NULL,
    field text NOT NULL,
    present bigint NOT NULL,
    rejected bigint NOT NULL CHECK (rejected <= present),
    missing bigint NOT NULL, -- required and absent
    warned bigint NOT NULL,
    PRIMARY KEY (run, field)
);

CREATE TABLE control.quality_reason (
    run uuid NOT NULL REFERENCES control.quality_run (id) ON DELETE CASCADE,
    field text NOT NULL,
    rule text NOT NULL, -- '': a warning
    code text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (run, field, rule, code)
);

-- A run that ended is never written again.
CREATE FUNCTION control.quality_run_ended() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    IF OLD.state <> 1 THEN
        RAISE EXCEPTION 'a run that has ended does not change';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER quality_run_ended BEFORE UPDATE ON control.quality_run
    FOR EACH ROW EXECUTE FUNCTION control.quality_run_ended();

-- False while another run of the dataset is alive. One that has not shown life for p_stale_s seconds (its
-- process died) is given up first; of ended runs the newest p_keep stay.
CREATE FUNCTION control.quality_start(p_id uuid, p_dataset text, p_by text, p_digest bytea,
    p_stale_s integer, p_keep integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    UPDATE control.quality_run SET state = 5, ended_at = now()
        WHERE dataset = p_dataset AND state = 1 AND beat_at < now() - p_stale_s * interval '1 second';
    INSERT INTO control.quality_run (id, dataset, started_by, schema_digest)
        VALUES (p_id, p_dataset, p_by, p_digest)
        ON CONFLICT (dataset) WHERE state = 1 DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM control.quality_run WHERE id IN
        (SELECT r.id FROM control.quality_run r WHERE r.dataset = p_dataset AND r.state <> 1
         ORDER BY r.started_at DESC OFFSET p_keep);
    RETURN true;
END
$$;

CREATE FUNCTION control.quality_beat(p_id uuid, p_rows bigint) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
    AS $$ UPDATE control.quality_run SET beat_at = now(), rows_read = p_rows WHERE id = p_id AND state = 1 $$;

-- Ends a run that brought no figures: 3 failed, 4 cancelled.
CREATE FUNCTION control.quality_end(p_id uuid, p_state smallint) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    UPDATE control.quality_run SET state = p_state, ended_at = now()
    WHERE id = p_id AND state = 1 AND p_state IN (3, 4)
$$;

-- Ends a run with its figures; false when it was given up meanwhile.
CREATE FUNCTION control.quality_finish(p_id uuid, p_read bigint, p_delivered bigint, p_quarantined bigint,
    p_filtered bigint, p_duplicates bigint, p_exceeded text, p_keyed bigint, p_keys bigint,
    p_repeated bigint, p_sampled integer, p_vintage text, p_newest_s bigint, p_ages bigint[],
    p_names text[], p_present bigint[], p_rejected bigint[], p_missing bigint[], p_warned bigint[],
    p_reason_names text[], p_reason_rules text[], p_reason_codes text[], p_reason_counts bigint[])
    RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    UPDATE control.quality_run SET state = 2, ended_at = now(), rows_read = p_read,
        delivered = p_delivered, quarantined = p_quarantined, filtered = p_filtered,
        duplicates = p_duplicates, exceeded = p_exceeded, keyed = p_keyed, keys = p_keys,
        repeated = p_repeated, sampled = p_sampled, vintage = p_vintage,
        newest = to_timestamp(p_newest_s), ages = p_ages
        WHERE id = p_id AND state = 1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO control.quality_field (run, position, field, present, rejected, missing, warned)
        SELECT p_id, u.i, u.name, u.present, u.rejected, u.missing, u.warned
        FROM unnest(p_names, p_present, p_rejected, p_missing, p_warned)
             WITH ORDINALITY AS u (name, present, rejected, missing, warned, i);
    INSERT INTO control.quality_reason (run, field, rule, code, count)
        SELECT p_id, u.name, u.rule, u.code, sum(u.n)
        FROM unnest(p_reason_names, p_reason_rules, p_reason_codes, p_reason_counts)
             AS u (name, rule, code, n)
        GROUP BY 2, 3, 4;
    RETURN true;
END
$$;

-- --- who may do what --------------------------------------------------------------------------------

REVOKE ALL ON FUNCTION
    control.quarantine_newest(bytea[], bytea[], bytea[], bytea[], uuid[], text[], text[], text[]),
    control.quarantine_note(text, bytea[], bytea[], bytea[], bytea[], uuid[], text[],
        text[], text[], integer, integer),
    control.quarantine_judged(text, bigint[], smallint[], timestamptz),
    control.quality_start(uuid, text, text, bytea, integer, integer),
    control.quality_beat(uuid, bigint), control.quality_end(uuid, smallint),
    control.quality_finish(uuid, bigint, bigint, bigint, bigint, bigint, text, bigint, bigint, bigint,
        integer, text, bigint, bigint[], text[], bigint[], bigint[], bigint[], bigint[], text[], text[],
        text[], bigint[])
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.quarantine_note(text, bytea[], bytea[], bytea[], bytea[], uuid[], text[],
        text[], text[], integer, integer),
    control.quarantine_judged(text, bigint[], smallint[], timestamptz),
    control.quality_start(uuid, text, text, bytea, integer, integer),
    control.quality_beat(uuid, bigint), control.quality_end(uuid, smallint),
    control.quality_finish(uuid, bigint, bigint, bigint, bigint, bigint, text, bigint, bigint, bigint,
        integer, text, bigint, bigint[], text[], bigint[], bigint[], bigint[], bigint[], text[], text[],
        text[], bigint[])
    TO sluice_worker;
GRANT SELECT ON control.quarantine, control.quarantine_total, control.quarantine_size,
    control.quality_run, control.quality_field, control.quality_reason TO sluice_worker;
