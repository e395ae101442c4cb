-- What a mapping expects of a dataset as a whole (its keys `freshness` and `expect`), judged by each
-- assessment that ended well.

CREATE TABLE control.quality_expectation (
    run uuid NOT NULL REFERENCES control.quality_run (id) ON DELETE CASCADE,
    position integer NOT NULL,
    kind smallint NOT NULL CHECK (kind IN (1, 2)), -- sluice.v1.ExpectationResult.Kind
    field text NOT NULL,
    bound bigint NOT NULL CHECK (bound >= 0), -- seconds, or millionths of the delivered records
    found bigint NOT NULL CHECK (found >= -1), -- in the same unit; -1: no value, no record
    met boolean NOT NULL CHECK (NOT met OR found >= 0),
    PRIMARY KEY (run, position)
);

-- In the statement that ends the run, so that a report never lacks them. True.
CREATE FUNCTION control.quality_expect(p_run uuid, p_kinds smallint[], p_fields text[], p_bounds bigint[],
    p_found bigint[], p_met boolean[]) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    INSERT INTO control.quality_expectation (run, position, kind, field, bound, found, met)
        SELECT p_run, u.i, u.kind, u.field, u.bound, u.found, u.met
        FROM unnest(p_kinds, p_fields, p_bounds, p_found, p_met)
             WITH ORDINALITY AS u (kind, field, bound, found, met, i);
    SELECT true
$$;

REVOKE ALL ON FUNCTION control.quality_expect(uuid, smallint[], text[], bigint[], bigint[], boolean[])
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.quality_expect(uuid, smallint[], text[], bigint[], bigint[], boolean[])
    TO sluice_worker;
GRANT SELECT ON control.quality_expectation TO sluice_worker;
