-- Two more ways to put rows in place: 3 upsert by key, 4 the same with what changed since the last time, as a
-- cursor field of the dataset tells.

ALTER TABLE control.transfer
    DROP CONSTRAINT transfer_mode_check,
    ADD CONSTRAINT transfer_mode_check CHECK (mode BETWEEN 1 AND 4), -- sluice.v1.TransferMode
    ADD COLUMN cursor_field text NOT NULL DEFAULT '',
    ADD CONSTRAINT transfer_cursor_check CHECK ((mode = 4) = (cursor_field <> ''));

-- As before, and the cursor is part of what a job copies.
CREATE OR REPLACE FUNCTION control.transfer_changes() RETURNS trigger
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
        NEW.rows_per_second, NEW.cursor_field)
       IS DISTINCT FROM
       (OLD.id, OLD.request_id, OLD.created_at, OLD.created_by, OLD.created_kind, OLD.consumer_department,
        OLD.consumer_name, OLD.credential, OLD.dataset, OLD.owner_department, OLD.agreement, OLD.purpose,
        OLD.target, OLD.target_database, OLD.target_table, OLD.mode, OLD.filter, OLD.fields, OLD.salt,
        OLD.rows_per_second, OLD.cursor_field)
    THEN
        RAISE EXCEPTION 'what a transfer copies does not change' USING ERRCODE = 'check_violation';
    END IF;
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
