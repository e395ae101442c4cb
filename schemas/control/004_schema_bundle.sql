-- Schema bundles: what the gateways read and how, stored by content, approved, then made current.
-- A bundle is a set of files (canonical.pb, codes/*.csv, departments/<department>/<dataset>.yaml) whose
-- digest is SHA-256 over the files in order of path, each as length, path, length, bytes; lengths are 8
-- bytes, least significant first. The database computes every digest itself, so a row cannot claim another
-- content. Nothing here is changed or removed but the one row that says which bundle is current.

-- Files are shared by the bundles that hold them: publishing again stores what is new.
CREATE TABLE control.schema_blob (
    id bytea PRIMARY KEY CHECK (id = sha256(content)),
    content bytea NOT NULL CHECK (octet_length(content) <= 8388608)
);

CREATE TABLE control.schema_bundle (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    published_by text NOT NULL, -- SPIFFE id of the officer
    published_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX schema_bundle_by_time ON control.schema_bundle (published_at);

CREATE TABLE control.schema_file (
    digest bytea NOT NULL REFERENCES control.schema_bundle (digest),
    path text NOT NULL CHECK (octet_length(path) BETWEEN 1 AND 255),
    blob bytea NOT NULL REFERENCES control.schema_blob (id),
    PRIMARY KEY (digest, path)
);

-- What a bundle says of each dataset, in one digest: its mapping, the type with all it refers to, the code
-- tables it uses. Two bundles treat a dataset alike when its fingerprints are equal.
CREATE TABLE control.schema_dataset (
    digest bytea NOT NULL REFERENCES control.schema_bundle (digest),
    name text NOT NULL,
    department text NOT NULL,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    PRIMARY KEY (digest, name)
);

-- The bundle in force. `n` grows by one with each change; its row lock orders approvals.
CREATE TABLE control.schema_current (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    n bigint NOT NULL,
    digest bytea REFERENCES control.schema_bundle (digest) -- NULL: none yet
);
INSERT INTO control.schema_current (n) VALUES (0);

CREATE TABLE control.schema_history (
    n bigint PRIMARY KEY,
    digest bytea NOT NULL REFERENCES control.schema_bundle (digest),
    made_current_by text NOT NULL,
    made_current_at timestamptz NOT NULL DEFAULT now()
);

-- Whether an officer may approve what the same officer has published: for a single officer's trial
-- installation. Only the owner of the control database changes it, and a gateway must allow it besides
-- (schemas.single_officer).
CREATE TABLE control.schema_policy (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    single_officer boolean NOT NULL DEFAULT false
);
INSERT INTO control.schema_policy DEFAULT VALUES;

-- An approval holds against the current bundle that the officer compared with (`n`): when another one
-- becomes current, the question is a new one.
CREATE TABLE control.schema_approval (
    digest bytea NOT NULL REFERENCES control.schema_bundle (digest),
    n bigint NOT NULL,
    department text NOT NULL REFERENCES control.department (name),
    approved_by text NOT NULL,
    approved_at timestamptz NOT NULL DEFAULT now(),
    reason text NOT NULL CHECK (octet_length(reason) BETWEEN 1 AND 1024),
    single_officer boolean NOT NULL, -- given by the publisher, as the policy then allowed
    PRIMARY KEY (digest, n, department)
);

-- What each gateway last said about the bundles it was to serve.
CREATE TABLE control.schema_gateway (
    instance text PRIMARY KEY CHECK (octet_length(instance) BETWEEN 1 AND 64),
    serving bytea,
    serving_at timestamptz,
    refused bytea,
    refused_text text NOT NULL DEFAULT '' CHECK (octet_length(refused_text) <= 1024),
    refused_at timestamptz
);

-- --- nothing is changed afterwards ------------------------------------------------------------------

CREATE FUNCTION control.schema_refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    RAISE EXCEPTION 'published schema bundles are not changed' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON control.schema_blob
    FOR EACH STATEMENT EXECUTE FUNCTION control.schema_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON control.schema_bundle
    FOR EACH STATEMENT EXECUTE FUNCTION control.schema_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON control.schema_file
    FOR EACH STATEMENT EXECUTE FUNCTION control.schema_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON control.schema_dataset
    FOR EACH STATEMENT EXECUTE FUNCTION control.schema_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON control.schema_history
    FOR EACH STATEMENT EXECUTE FUNCTION control.schema_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON control.schema_approval
    FOR EACH STATEMENT EXECUTE FUNCTION control.schema_refuse_change();

-- Four eyes, whoever inserts.
CREATE FUNCTION control.schema_four_eyes() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
DECLARE
    own CONSTANT boolean := (SELECT b.published_by = NEW.approved_by
                             FROM control.schema_bundle b WHERE b.digest = NEW.digest);
BEGIN
    IF own AND NOT (NEW.single_officer AND (SELECT p.single_officer FROM control.schema_policy p)) THEN
        RAISE EXCEPTION 'a schema bundle is approved by another officer than its publisher'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.n <> (SELECT c.n FROM control.schema_current c) THEN
        RAISE EXCEPTION 'an approval holds against the bundle that is current';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER four_eyes BEFORE INSERT ON control.schema_approval
    FOR EACH ROW EXECUTE FUNCTION control.schema_four_eyes();

-- --- comparing --------------------------------------------------------------------------------------

-- 8 bytes, least significant first.
CREATE FUNCTION control.schema_length(value bigint) RETURNS bytea
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog
    AS $$ SELECT string_agg(substring(int8send(value) FROM i FOR 1), '' ORDER BY i DESC)
          FROM generate_series(1, 8) i $$;

-- How the datasets of bundle `p_new` differ from those of `p_old` (NULL: no bundle).
CREATE FUNCTION control.schema_changes(p_old bytea, p_new bytea,
    OUT name text, OUT department text, OUT change text) RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT coalesce(b.name, a.name), coalesce(b.department, a.department),
           CASE WHEN a.name IS NULL THEN 'added' WHEN b.name IS NULL THEN 'removed' ELSE 'changed' END
    FROM (SELECT * FROM control.schema_dataset d WHERE d.digest = p_old) a
         FULL JOIN (SELECT * FROM control.schema_dataset d WHERE d.digest = p_new) b ON a.name = b.name
    WHERE a.fingerprint IS DISTINCT FROM b.fingerprint
    ORDER BY 1
    $$;

-- The departments whose approval a bundle still needs to become current, '*' for any department when no
-- dataset differs (a code table nobody uses, a comment in a type nobody maps). Empty: it has them all.
CREATE FUNCTION control.schema_missing(p_digest bytea) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    WITH current AS (SELECT * FROM control.schema_current),
         needed AS (SELECT DISTINCT c.department FROM current, control.schema_changes(digest, p_digest) c),
         given AS (SELECT a.department FROM control.schema_approval a, current
                   WHERE a.digest = p_digest AND a.n = current.n)
    SELECT CASE
        WHEN (SELECT digest FROM current) = p_digest THEN '{}'::text[]
        WHEN EXISTS (SELECT FROM needed) THEN
            ARRAY(SELECT department FROM needed EXCEPT SELECT department FROM given ORDER BY 1)
        WHEN EXISTS (SELECT FROM given) THEN '{}'::text[]
        ELSE ARRAY['*'] END
    $$;

-- --- publishing, approving, reporting ---------------------------------------------------------------

CREATE FUNCTION control.schema_officer(p_subject text, p_department text, p_name text) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$ SELECT p_subject LIKE 'spiffe://%/dept/' || p_department || '/officer/' || p_name
                 AND EXISTS (SELECT FROM control.officer o JOIN control.department d ON d.name = o.department
                             WHERE o.department = p_department AND o.name = p_name
                               AND o.disabled_at IS NULL AND d.disabled_at IS NULL) $$;

-- Stores a bundle. `p_starts` (from 1) and `p_lengths` cut `p_content` into the files `p_paths`, which are
-- in byte order. Answers false when the bundle was there already.
CREATE FUNCTION control.publish_schema(p_digest bytea, p_subject text, p_department text, p_officer text,
    p_paths text[], p_content bytea, p_starts integer[], p_lengths integer[], p_names text[],
    p_departments text[], p_fingerprints bytea[]) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    computed bytea;
BEGIN
    IF NOT control.schema_officer(p_subject, p_department, p_officer) THEN
        RAISE EXCEPTION 'no such officer' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF octet_length(p_content) > 8388608 OR cardinality(p_paths) > 20000 THEN
        RAISE EXCEPTION 'the bundle is too large' USING ERRCODE = 'program_limit_exceeded';
    END IF;
    SELECT sha256(coalesce(string_agg(
               control.schema_length(octet_length(u.path)) || convert_to(u.path, 'UTF8') ||
               control.schema_length(u.len) || substring(p_content FROM u.start FOR u.len),
               '' ORDER BY u.path COLLATE "C"), ''))
        INTO computed FROM unnest(p_paths, p_starts, p_lengths) AS u (path, start, len);
    IF computed IS DISTINCT FROM p_digest THEN
        RAISE EXCEPTION 'the digest is not that of the files';
    END IF;
    INSERT INTO control.schema_bundle (digest, published_by) VALUES (p_digest, p_subject)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO control.schema_blob (id, content)
        SELECT DISTINCT ON (sha256(f.bytes)) sha256(f.bytes), f.bytes
        FROM (SELECT substring(p_content FROM u.start FOR u.len) AS bytes
              FROM unnest(p_starts, p_lengths) AS u (start, len)) f
        ON CONFLICT DO NOTHING;
    INSERT INTO control.schema_file (digest, path, blob)
        SELECT p_digest, u.path, sha256(substring(p_content FROM u.start FOR u.len))
        FROM unnest(p_paths, p_starts, p_lengths) AS u (path, start, len);
    INSERT INTO control.schema_dataset (digest, name, department, fingerprint)
        SELECT p_digest, u.name, u.department, u.fingerprint
        FROM unnest(p_names, p_departments, p_fingerprints) AS u (name, department, fingerprint);
    RETURN true;
END
$$;

-- Records an approval and, when it was the last one needed, makes the bundle current. Answers CURRENT (it
-- is now), PENDING (others must approve too), or why nothing was recorded: UNKNOWN, OFFICER, ALREADY, OWN,
-- NOT_CONCERNED.
CREATE FUNCTION control.approve_schema(p_digest bytea, p_subject text, p_department text, p_officer text,
    p_reason text, p_single_officer boolean) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    current control.schema_current;
    publisher text;
    single boolean;
BEGIN
    SELECT * INTO current FROM control.schema_current FOR UPDATE;
    SELECT b.published_by INTO publisher FROM control.schema_bundle b WHERE b.digest = p_digest;
    IF NOT FOUND THEN
        RETURN 'UNKNOWN';
    ELSIF NOT control.schema_officer(p_subject, p_department, p_officer) THEN
        RETURN 'OFFICER';
    ELSIF current.digest = p_digest THEN
        RETURN 'ALREADY';
    END IF;
    SELECT p_single_officer AND p.single_officer INTO single FROM control.schema_policy p;
    IF publisher = p_subject AND NOT single THEN
        RETURN 'OWN';
    ELSIF EXISTS (SELECT FROM control.schema_changes(current.digest, p_digest))
          AND NOT EXISTS (SELECT FROM control.schema_changes(current.digest, p_digest) c
                          WHERE c.department = p_department) THEN
        RETURN 'NOT_CONCERNED';
    END IF;
    INSERT INTO control.schema_approval (digest, n, department, approved_by, reason, single_officer)
        VALUES (p_digest, current.n, p_department, p_subject, p_reason, publisher = p_subject)
        ON CONFLICT DO NOTHING;
    IF cardinality(control.schema_missing(p_digest)) > 0 THEN
        RETURN 'PENDING';
    END IF;
    UPDATE control.schema_current SET n = n + 1, digest = p_digest;
    INSERT INTO control.schema_history (n, digest, made_current_by)
        VALUES (current.n + 1, p_digest, p_subject);
    RETURN 'CURRENT';
END
$$;

-- A gateway says that it serves a bundle (`p_text` empty), or why it could not load one.
CREATE FUNCTION control.report_schema(p_instance text, p_digest bytea, p_text text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    INSERT INTO control.schema_gateway AS g
            (instance, serving, serving_at, refused, refused_text, refused_at)
        VALUES (p_instance, CASE WHEN p_text = '' THEN p_digest END, CASE WHEN p_text = '' THEN now() END,
                CASE WHEN p_text <> '' THEN p_digest END, p_text, CASE WHEN p_text <> '' THEN now() END)
        ON CONFLICT (instance) DO UPDATE SET
            serving = coalesce(excluded.serving, g.serving),
            serving_at = coalesce(excluded.serving_at, g.serving_at),
            -- What is served at last is no longer refused.
            refused = CASE WHEN excluded.refused IS NOT NULL THEN excluded.refused
                           WHEN g.refused = excluded.serving THEN NULL ELSE g.refused END,
            refused_text = CASE WHEN excluded.refused IS NOT NULL THEN excluded.refused_text
                                WHEN g.refused = excluded.serving THEN '' ELSE g.refused_text END,
            refused_at = CASE WHEN excluded.refused IS NOT NULL THEN excluded.refused_at
                              WHEN g.refused = excluded.serving THEN NULL ELSE g.refused_at END
    $$;

-- --- who may do what --------------------------------------------------------------------------------

REVOKE ALL ON FUNCTION control.schema_refuse_change(), control.schema_four_eyes(),
    control.schema_length(bigint), control.schema_changes(bytea, bytea), control.schema_missing(bytea),
    control.schema_officer(text, text, text),
    control.publish_schema(bytea, text, text, text, text[], bytea, integer[], integer[], text[], text[],
        bytea[]),
    control.approve_schema(bytea, text, text, text, text, boolean),
    control.report_schema(text, bytea, text)
    FROM PUBLIC;
GRANT SELECT ON control.schema_blob, control.schema_bundle, control.schema_file, control.schema_dataset,
    control.schema_current, control.schema_history, control.schema_approval, control.schema_gateway
    TO sluice_worker;
GRANT EXECUTE ON FUNCTION control.schema_changes(bytea, bytea), control.schema_missing(bytea),
    control.publish_schema(bytea, text, text, text, text[], bytea, integer[], integer[], text[], text[],
        bytea[]),
    control.approve_schema(bytea, text, text, text, text, boolean),
    control.report_schema(text, bytea, text)
    TO sluice_worker;
