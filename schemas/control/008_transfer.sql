-- Transfers: jobs that copy a dataset from its owner's database into a table of the consumer's.
-- A mover holds a job by a lease: owner, epoch and an expiry that it keeps pushing on. Every claim takes the
-- next epoch, and every transaction in the target checks the epoch there, so that a mover that was paused
-- and wakes up can write nothing more.

CREATE TABLE control.transfer (
    id uuid PRIMARY KEY,
    request_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- who asked, as the certificate said; the agreement is checked for this identity throughout
    created_by text NOT NULL,
    created_kind smallint NOT NULL CHECK (created_kind IN (1, 2)), -- 1 a system, 2 an officer
    consumer_department text NOT NULL REFERENCES control.department (name),
    consumer_name text NOT NULL,
    credential bytea NOT NULL CHECK (octet_length(credential) = 32),
    -- what
    dataset text NOT NULL,
    owner_department text NOT NULL,
    agreement text NOT NULL,
    purpose text NOT NULL,
    target text NOT NULL, -- a dataset of the consumer's, whose mapping names database and table
    target_database text NOT NULL,
    target_table text NOT NULL,
    mode smallint NOT NULL CHECK (mode IN (1, 2)), -- sluice.v1.TransferMode
    filter text NOT NULL,
    fields text[] NOT NULL, -- empty: all that are granted and that the target holds
    salt bytea NOT NULL CHECK (octet_length(salt) = 32), -- of the digests in the manifest
    rows_per_second bigint NOT NULL CHECK (rows_per_second BETWEEN 0 AND 1000000), -- 0: no limit
    -- how it stands
    state smallint NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 6), -- sluice.v1.TransferState
    wanted smallint NOT NULL DEFAULT 1 CHECK (wanted IN (1, 2, 3)),  -- 1 go on, 2 pause, 3 cancel
    owner text,
    epoch bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    attempts integer NOT NULL DEFAULT 0, -- that failed, since it last was told to go on
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    snapshot text NOT NULL DEFAULT '',
    rows_read bigint NOT NULL DEFAULT 0,
    rows_delivered bigint NOT NULL DEFAULT 0,
    rows_quarantined bigint NOT NULL DEFAULT 0,
    rows_filtered bigint NOT NULL DEFAULT 0,
    rows_duplicate bigint NOT NULL DEFAULT 0,
    manifest bytea, -- serialised sluice.v1.TransferManifest
    failure_code smallint NOT NULL DEFAULT 0, -- gRPC status
    failure_reason text NOT NULL DEFAULT '',
    failure_text text NOT NULL DEFAULT '',
    started_at timestamptz,
    ended_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((state IN (4, 5, 6)) = (ended_at IS NOT NULL)),
    CHECK ((state = 4) = (manifest IS NOT NULL)),
    CHECK (state <> 5 OR failure_reason <> ''),
    CHECK (state <> 2 OR (owner IS NOT NULL AND lease_until IS NOT NULL))
);
-- A request that is sent twice makes one job (AIP-155).
CREATE UNIQUE INDEX transfer_by_request ON control.transfer (created_by, request_id);
CREATE INDEX transfer_open ON control.transfer (next_attempt_at) WHERE state IN (1, 2);
CREATE INDEX transfer_by_consumer ON control.transfer (consumer_department, id);
CREATE INDEX transfer_by_owner ON control.transfer (owner_department, id);

-- 1 pending, 2 running, 3 paused, 4 succeeded, 5 failed, 6 cancelled: the last three are the end. What a job
-- copies never changes, and its epoch only grows.
CREATE FUNCTION control.transfer_changes() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    IF OLD.state IN (4, 5, 6) THEN
        RAISE EXCEPTION 'a transfer that has ended does not change' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.epoch < OLD.epoch
       OR (NEW.state = 2 AND OLD.state <> 2 AND NEW.epoch = OLD.epoch)
       OR (NEW.state IN (4, 5) AND OLD.state <> 2)
       OR (NEW.state = 2 AND OLD.state = 3)
    THEN
        RAISE EXCEPTION 'a transfer cannot go from state % to %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.id, NEW.request_id, NEW.created_at, NEW.created_by, NEW.created_kind, NEW.consumer_department,
        NEW.consumer_name, NEW.credential, NEW.dataset, NEW.owner_department, NEW.agreement, NEW.purpose,
        NEW.target, NEW.target_database, NEW.target_table, NEW.mode, NEW.filter, NEW.fields, NEW.salt,
        NEW.rows_per_second)
       IS DISTINCT FROM
       (OLD.id, OLD.request_id, OLD.created_at, OLD.created_by, OLD.created_kind, OLD.consumer_department,
        OLD.consumer_name, OLD.credential, OLD.dataset, OLD.owner_department, OLD.agreement, OLD.purpose,
        OLD.target, OLD.target_database, OLD.target_table, OLD.mode, OLD.filter, OLD.fields, OLD.salt,
        OLD.rows_per_second)
    THEN
        RAISE EXCEPTION 'what a transfer copies does not change' USING ERRCODE = 'check_violation';
    END IF;
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE TRIGGER transfer_changes BEFORE UPDATE ON control.transfer
    FOR EACH ROW EXECUTE FUNCTION control.transfer_changes();

GRANT SELECT, INSERT, UPDATE ON control.transfer TO sluice_worker;
