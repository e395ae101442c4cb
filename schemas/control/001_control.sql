-- Control database: departments, officers and agreements.
-- Every change of what an agreement, officer or department says takes a new agreement epoch in the same
-- transaction (function control.next_epoch) and stamps the changed rows with it. The row lock on
-- agreement_epoch orders commits, so a reader that asks for rows above the last epoch it saw misses none.

CREATE SCHEMA control;

CREATE TABLE control.agreement_epoch (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    n bigint NOT NULL
);
INSERT INTO control.agreement_epoch (n) VALUES (1);

CREATE FUNCTION control.next_epoch() RETURNS bigint
    LANGUAGE sql SET search_path = pg_catalog
    AS $$ UPDATE control.agreement_epoch SET n = n + 1 RETURNING n $$;

CREATE TABLE control.department (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    title text NOT NULL DEFAULT '',
    title_zh text NOT NULL DEFAULT '',
    disabled_at timestamptz,
    epoch bigint NOT NULL DEFAULT control.next_epoch(),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE control.officer (
    department text NOT NULL REFERENCES control.department (name),
    name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9.-]{0,62}$'),
    title text NOT NULL DEFAULT '',
    disabled_at timestamptz,
    epoch bigint NOT NULL DEFAULT control.next_epoch(),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (department, name)
);

CREATE TABLE control.agreement (
    id text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{2,62}$'),
    consumer_department text NOT NULL REFERENCES control.department (name),
    consumer_system text NOT NULL, -- '*': every system of the department
    dataset text NOT NULL,
    owner_department text NOT NULL REFERENCES control.department (name),
    fields text[] NOT NULL CHECK (cardinality(fields) > 0),
    row_filter text NOT NULL DEFAULT '',
    purposes text[] NOT NULL CHECK (cardinality(purposes) > 0),
    modes integer[] NOT NULL CHECK (cardinality(modes) > 0), -- sluice.v1.AgreementMode
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    rate_per_second double precision NOT NULL DEFAULT 0 CHECK (rate_per_second >= 0),
    rate_burst integer NOT NULL DEFAULT 0 CHECK (rate_burst >= 0),
    legal_basis text NOT NULL DEFAULT '',
    granted_by text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    request_id text NOT NULL,
    revoked_by text,
    revoked_at timestamptz,
    revoke_reason text,
    epoch bigint NOT NULL DEFAULT control.next_epoch(),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    CHECK (valid_until > valid_from),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL) AND (revoked_at IS NULL) = (revoke_reason IS NULL))
);
CREATE INDEX agreement_by_epoch ON control.agreement (epoch);
-- A grant that is sent twice with one request id makes one agreement (AIP-155).
CREATE UNIQUE INDEX agreement_by_request ON control.agreement (granted_by, request_id);
CREATE INDEX agreement_by_dataset ON control.agreement (dataset);

-- What an agreement binds never changes: narrowing or widening is a new agreement.
CREATE FUNCTION control.agreement_immutable() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL
       OR (NEW.id, NEW.consumer_department, NEW.consumer_system, NEW.dataset, NEW.owner_department,
           NEW.fields, NEW.row_filter, NEW.purposes, NEW.modes, NEW.valid_from, NEW.valid_until,
           NEW.rate_per_second, NEW.rate_burst, NEW.legal_basis, NEW.granted_by, NEW.granted_at,
           NEW.digest)
          IS DISTINCT FROM
          (OLD.id, OLD.consumer_department, OLD.consumer_system, OLD.dataset, OLD.owner_department,
           OLD.fields, OLD.row_filter, OLD.purposes, OLD.modes, OLD.valid_from, OLD.valid_until,
           OLD.rate_per_second, OLD.rate_burst, OLD.legal_basis, OLD.granted_by, OLD.granted_at,
           OLD.digest)
    THEN
        RAISE EXCEPTION 'an agreement can only be revoked, and only once';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER agreement_immutable BEFORE UPDATE ON control.agreement
    FOR EACH ROW EXECUTE FUNCTION control.agreement_immutable();

-- sluice_worker: what a worker process may do. Login roles are members of it.
GRANT USAGE ON SCHEMA control TO sluice_worker;
GRANT SELECT ON ALL TABLES IN SCHEMA control TO sluice_worker;
GRANT INSERT ON control.agreement TO sluice_worker;
GRANT UPDATE (revoked_by, revoked_at, revoke_reason, epoch) ON control.agreement TO sluice_worker;
GRANT UPDATE (n) ON control.agreement_epoch TO sluice_worker;
