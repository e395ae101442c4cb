-- Daily quotas, exact over all gateways: charged in the transaction that logs what is released, behind the
-- lock of the log's head. What was charged stays charged when the answer does not arrive; a stream gives back
-- what it had reserved and did not deliver. The day is that of control.exchange_day().

ALTER TABLE control.agreement
    ADD COLUMN daily_quota bigint NOT NULL DEFAULT 0 CHECK (daily_quota BETWEEN 0 AND 1000000000000);

-- As before, and the quota is bound too.
CREATE OR REPLACE FUNCTION control.agreement_immutable() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL
       OR (NEW.id, NEW.consumer_department, NEW.consumer_system, NEW.dataset, NEW.owner_department,
           NEW.fields, NEW.row_filter, NEW.purposes, NEW.modes, NEW.valid_from, NEW.valid_until,
           NEW.rate_per_second, NEW.rate_burst, NEW.legal_basis, NEW.granted_by, NEW.granted_at,
           NEW.digest, NEW.daily_quota)
          IS DISTINCT FROM
          (OLD.id, OLD.consumer_department, OLD.consumer_system, OLD.dataset, OLD.owner_department,
           OLD.fields, OLD.row_filter, OLD.purposes, OLD.modes, OLD.valid_from, OLD.valid_until,
           OLD.rate_per_second, OLD.rate_burst, OLD.legal_basis, OLD.granted_by, OLD.granted_at,
           OLD.digest, OLD.daily_quota)
    THEN
        RAISE EXCEPTION 'an agreement can only be revoked, and only once';
    END IF;
    RETURN NEW;
END
$$;

-- What each agreement with a quota has used of it, by day; kept, as its use is asked about later.
CREATE TABLE control.quota_use (
    agreement text NOT NULL REFERENCES control.agreement (id),
    day date NOT NULL,
    records bigint NOT NULL CHECK (records >= 0),
    PRIMARY KEY (agreement, day)
);

-- audit.lock_head, and behind its lock the charges of a batch, in the order of their arrays. A charge is
-- allowed when the day's use stays within the agreement's quota; with `partly` it takes what is left, at
-- least 1; a negative one is given back to the day it was taken from. `charged` answers each positive one:
-- 16 bytes id, 8 bytes records, 0 for a refusal. What the log has already is not charged again: its stored
-- outcome is the verdict, and of a part only 1 record is sure to have been taken. With `tail` NULL nothing is
-- charged, since the appender rolls back. Runs as the owner, because the auditor's role reads no agreement.
CREATE FUNCTION audit.lock_charge(p_batch uuid, p_ids uuid[], p_from bigint, p_tail_max integer,
    p_charge_ids uuid[], p_agreements text[], p_records bigint[], p_partly boolean[], p_days integer[],
    OUT origin text, OUT size bigint, OUT root bytea, OUT epoch bigint,
    OUT batch_first bigint, OUT known bytea, OUT tail bytea,
    OUT charged bytea, OUT day integer, OUT seconds_left integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    refused CONSTANT smallint := 2; -- sluice.v1.AuditEntry.Outcome
    epoch_day CONSTANT date := '1970-01-01';
    today date;
    item record;
    agreement text;   -- whose use is at hand
    quota bigint;
    used bigint;
    touched boolean := false;
    granted bigint;
BEGIN
    SELECT l.origin, l.size, l.root, l.epoch, l.batch_first, l.known, l.tail
        INTO origin, size, root, epoch, batch_first, known, tail
        FROM audit.lock_head(p_batch, p_ids, p_from, p_tail_max) AS l;
    SELECT d.day, d.seconds_left INTO today, seconds_left FROM control.exchange_day() AS d;
    day := today - epoch_day;
    charged := '';
    IF tail IS NULL THEN
        RETURN;
    END IF;
    FOR item IN
        SELECT u.id, u.agreement, u.records, u.partly, u.day,
               CASE WHEN octet_length(known) > 0 THEN (SELECT e.outcome FROM audit.entry AS e
                    WHERE e.index = (SELECT k.index FROM audit.entry_id AS k WHERE k.id = u.id)) END AS stored
        FROM unnest(p_charge_ids, p_agreements, p_records, p_partly, p_days)
             WITH ORDINALITY AS u (id, agreement, records, partly, day, n)
        ORDER BY u.agreement, u.n
    LOOP
        IF agreement IS DISTINCT FROM item.agreement THEN
            IF touched THEN
                INSERT INTO control.quota_use AS q (agreement, day, records) VALUES (agreement, today, used)
                    ON CONFLICT ON CONSTRAINT quota_use_pkey DO UPDATE SET records = excluded.records;
            END IF;
            touched := false;
            agreement := item.agreement;
            SELECT a.daily_quota INTO quota FROM control.agreement AS a WHERE a.id = item.agreement;
            SELECT q.records INTO used FROM control.quota_use AS q
                WHERE q.agreement = item.agreement AND q.day = today;
            used := coalesce(used, 0);
        END IF;
        IF item.stored IS NOT NULL THEN
            granted := CASE WHEN item.stored = refused THEN 0 WHEN item.partly THEN 1 ELSE item.records END;
        ELSIF item.records < 0 AND epoch_day + item.day = today THEN
            used := greatest(used + item.records, 0);
            touched := true;
        ELSIF item.records < 0 THEN
            UPDATE control.quota_use AS q SET records = greatest(q.records + item.records, 0)
                WHERE q.agreement = item.agreement AND q.day = epoch_day + item.day;
        ELSIF coalesce(quota, 0) = 0 THEN
            granted := item.records; -- no quota binds it
        ELSE
            granted := CASE WHEN used + item.records <= quota THEN item.records
                            WHEN item.partly THEN greatest(quota - used, 0) ELSE 0 END;
            used := used + granted;
            touched := touched OR granted > 0;
        END IF;
        IF item.records > 0 THEN
            charged := charged || uuid_send(item.id) || int8send(granted);
        END IF;
    END LOOP;
    IF touched THEN
        INSERT INTO control.quota_use AS q (agreement, day, records) VALUES (agreement, today, used)
            ON CONFLICT ON CONSTRAINT quota_use_pkey DO UPDATE SET records = excluded.records;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION audit.lock_charge(uuid, uuid[], bigint, integer, uuid[], text[], bigint[], boolean[],
    integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.lock_charge(uuid, uuid[], bigint, integer, uuid[], text[], bigint[], boolean[],
    integer[]) TO sluice_auditor;
GRANT SELECT ON control.quota_use TO sluice_worker;
