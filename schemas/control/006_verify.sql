-- What stops guessing by Verify (核验): every answer is counted here, in one transaction, before it leaves,
-- so that the limits hold across all workers of all gateways. Keys are keyed digests, never identifiers.
-- A day is a calendar day in Asia/Shanghai for all gateways: the database decides what day it is.

-- The day and the whole seconds that are left of it.
CREATE FUNCTION control.exchange_day(OUT day date, OUT seconds_left integer)
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT d, ceil(extract(epoch FROM (d + 1)::timestamp AT TIME ZONE 'Asia/Shanghai' - now()))::integer
    FROM (SELECT (now() AT TIME ZONE 'Asia/Shanghai')::date) AS t (d)
$$;

-- One row for each key asked about. The first column is the day, so that old rows are found by the key's own
-- index.
CREATE TABLE control.verify_key (
    day date NOT NULL,
    agreement text NOT NULL,
    purpose text NOT NULL,
    key bytea NOT NULL CHECK (octet_length(key) = 32),
    calls integer NOT NULL,
    mismatches integer NOT NULL,
    PRIMARY KEY (day, agreement, purpose, key)
);

-- Answers other than MATCH, over all keys.
CREATE TABLE control.verify_purpose (
    day date NOT NULL,
    agreement text NOT NULL,
    purpose text NOT NULL,
    misses integer NOT NULL,
    PRIMARY KEY (day, agreement, purpose)
);

-- Counts one answer and says whether it may leave: 0 yes, 1 no, too many mismatches about this key today,
-- 2 no, too many misses of this purpose today. What is refused is not counted. Rows are locked in one
-- order, key before purpose; the purpose's row only by a miss, so matches never wait for each other.
CREATE FUNCTION control.verify_charge(p_agreement text, p_purpose text, p_key bytea, p_mismatch boolean,
    p_miss boolean, p_key_max integer, p_purpose_max integer, OUT verdict integer, OUT seconds_left integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    today date;
    allowed boolean;
BEGIN
    SELECT d.day, d.seconds_left INTO today, seconds_left FROM control.exchange_day() AS d;
    verdict := 0;
    INSERT INTO control.verify_key AS k (day, agreement, purpose, key, calls, mismatches)
        VALUES (today, p_agreement, p_purpose, p_key, 1, p_mismatch::integer)
        ON CONFLICT (day, agreement, purpose, key) DO UPDATE
        SET calls = k.calls + 1, mismatches = k.mismatches + excluded.mismatches
        WHERE k.mismatches < p_key_max;
    IF NOT FOUND THEN
        verdict := 1;
        RETURN;
    END IF;
    IF p_miss THEN
        INSERT INTO control.verify_purpose AS u (day, agreement, purpose, misses)
            VALUES (today, p_agreement, p_purpose, 1)
            ON CONFLICT (day, agreement, purpose) DO UPDATE SET misses = u.misses + 1
            WHERE u.misses < p_purpose_max;
        allowed := FOUND;
    ELSE
        allowed := NOT EXISTS (SELECT FROM control.verify_purpose AS u
            WHERE u.day = today AND u.agreement = p_agreement AND u.purpose = p_purpose
              AND u.misses >= p_purpose_max);
    END IF;
    IF NOT allowed THEN
        UPDATE control.verify_key AS k
            SET calls = k.calls - 1, mismatches = k.mismatches - p_mismatch::integer
            WHERE k.day = today AND k.agreement = p_agreement AND k.purpose = p_purpose AND k.key = p_key;
        verdict := 2;
    END IF;
    -- Each call clears a little of what is over: more than it can add.
    DELETE FROM control.verify_key AS k WHERE k.ctid = ANY (ARRAY(
        SELECT o.ctid FROM control.verify_key AS o WHERE o.day < today LIMIT 4 FOR UPDATE SKIP LOCKED));
    DELETE FROM control.verify_purpose AS u WHERE u.ctid = ANY (ARRAY(
        SELECT o.ctid FROM control.verify_purpose AS o WHERE o.day < today LIMIT 4 FOR UPDATE SKIP LOCKED));
END
$$;

REVOKE ALL ON FUNCTION control.exchange_day(),
    control.verify_charge(text, text, bytea, boolean, boolean, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    control.verify_charge(text, text, bytea, boolean, boolean, integer, integer) TO sluice_worker;
