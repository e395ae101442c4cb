-- The catalogue (政务信息资源目录): entries, their editions and their life, after the 2025 regulation on government
-- data sharing (政务数据共享条例, Art. 13 to 17 and 19). A gateway writes editions by control.catalogue_write and
-- inserts steps, and changes nothing: the trigger of control.catalogue_step checks each step again, whatever the
-- gateway said, and moves the entry. A dataset without a published entry is shared as its mapping says.

-- Working days; may only be made shorter than the regulation's.
ALTER TABLE control.application_policy
    ADD COLUMN update_days integer NOT NULL DEFAULT 10 CHECK (update_days BETWEEN 1 AND 10),
    ADD COLUMN update_extension_days integer NOT NULL DEFAULT 5 CHECK (update_extension_days BETWEEN 1 AND 5),
    ADD COLUMN review_days integer NOT NULL DEFAULT 2 CHECK (review_days BETWEEN 1 AND 2);

-- Every step that may be taken; gateway/authz/catalogue.c has the same rows.
CREATE TABLE control.catalogue_rule (
    event text NOT NULL,
    state_from text NOT NULL,
    state_to text NOT NULL,
    roles text[] NOT NULL,
    PRIMARY KEY (event, state_from)
);
INSERT INTO control.catalogue_rule (event, state_from, state_to, roles) VALUES
    ('WRITE', 'DRAFT', 'DRAFT', '{AUTHOR,COLLEAGUE}'),
    ('WRITE', 'ASSESSED', 'DRAFT', '{AUTHOR,COLLEAGUE}'),
    ('WRITE', 'DEPT_APPROVED', 'DRAFT', '{AUTHOR,COLLEAGUE}'),
    ('WRITE', 'CHANGE_DUE', 'CHANGE_DUE', '{AUTHOR,COLLEAGUE}'),
    ('ASSESS', 'DRAFT', 'ASSESSED', '{AUTHOR,COLLEAGUE}'),
    ('ASSESS', 'CHANGE_DUE', 'CHANGE_DUE', '{AUTHOR,COLLEAGUE}'),
    ('APPROVE', 'ASSESSED', 'DEPT_APPROVED', '{COLLEAGUE}'),
    ('SUBMIT', 'DEPT_APPROVED', 'SUBMITTED', '{COLLEAGUE}'),
    ('SUBMIT', 'CHANGE_DUE', 'SUBMITTED', '{COLLEAGUE}'),
    ('PUBLISH', 'SUBMITTED', 'PUBLISHED', '{AUTHORITY}'),
    ('RETURN', 'SUBMITTED', 'DRAFT', '{AUTHORITY}'),
    ('RETURN_CHANGE', 'SUBMITTED', 'CHANGE_DUE', '{AUTHORITY}'),
    ('CHANGE', 'PUBLISHED', 'CHANGE_DUE', '{AUTHOR,COLLEAGUE}'),
    ('ASK_EXTENSION', 'CHANGE_DUE', 'CHANGE_DUE', '{AUTHOR,COLLEAGUE}'),
    ('EXTEND', 'CHANGE_DUE', 'CHANGE_DUE', '{AUTHORITY}'),
    ('RETIRE', 'PUBLISHED', 'RETIRED', '{COLLEAGUE}'),
    ('RETIRE', 'CHANGE_DUE', 'RETIRED', '{COLLEAGUE}');

-- --- entries and editions ---------------------------------------------------------------------------

CREATE TABLE control.catalogue_entry (
    dataset text PRIMARY KEY CHECK (dataset ~ '^[a-z][a-z0-9-]{0,62}/[a-z][a-z0-9_-]{0,62}$'),
    department text NOT NULL REFERENCES control.department (name),
    state text NOT NULL DEFAULT 'DRAFT',
    state_since timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 0, -- the number of its last step
    edition integer NOT NULL DEFAULT 0, -- the latest
    author text NOT NULL,               -- of the latest edition: SPIFFE id of the officer
    secrecy_ref text NOT NULL DEFAULT '', -- of the latest edition, as the three below
    impact_ref text NOT NULL DEFAULT '',
    assessed_by text,
    approved_by text,
    submitted_by text,
    published_edition integer, -- what is in force; NULL: nothing yet
    published_by text,
    published_at timestamptz,
    -- The change that is due.
    change_from timestamptz,
    change_days integer,
    extension_asked_by text,
    extension_days integer,
    -- The deadline that runs: within clock_days working days of clock_from. due_on NULL: it could not be told.
    clock text CHECK (clock IN ('REVIEW', 'UPDATE')),
    clock_from timestamptz,
    clock_days integer,
    due_on date,
    epoch bigint NOT NULL DEFAULT 0, -- of the last change of what is in force
    CHECK (split_part(dataset, '/', 1) = department),
    CHECK (state NOT IN ('ASSESSED', 'DEPT_APPROVED', 'SUBMITTED', 'PUBLISHED') OR secrecy_ref <> ''),
    CHECK (approved_by <> author),
    CHECK (submitted_by <> author),
    CHECK (published_by NOT IN (author, approved_by, submitted_by) OR state <> 'PUBLISHED'),
    CHECK (state NOT IN ('PUBLISHED', 'CHANGE_DUE', 'RETIRED') OR published_edition IS NOT NULL),
    CHECK ((clock IS NULL) = (clock_from IS NULL) AND (clock IS NULL) = (clock_days IS NULL)),
    CHECK (clock IS NOT NULL OR due_on IS NULL)
);
CREATE INDEX catalogue_entry_by_epoch ON control.catalogue_entry (epoch);

-- An edition as it was written: sluice.v1.CatalogueContent in JSON by the names of its .proto. What the database
-- itself insists on stands in columns of its own.
CREATE TABLE control.catalogue_edition (
    dataset text NOT NULL REFERENCES control.catalogue_entry (dataset),
    edition integer NOT NULL,
    content jsonb NOT NULL,
    author text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),
    title text GENERATED ALWAYS AS (content ->> 'title') STORED CHECK (title <> ''),
    sharing text GENERATED ALWAYS AS (content ->> 'sharing') STORED
        CHECK (sharing IN ('OPEN', 'CONDITIONAL', 'DENIED')),
    legal_basis text GENERATED ALWAYS AS (content ->> 'legal_basis') STORED,
    conditions text GENERATED ALWAYS AS (content ->> 'conditions') STORED,
    PRIMARY KEY (dataset, edition),
    CHECK (content ->> 'dataset' = dataset),
    CHECK (title IS NOT NULL AND sharing IS NOT NULL),
    CHECK (sharing <> 'DENIED' OR coalesce(legal_basis, '') <> ''),         -- Art. 14
    CHECK (sharing <> 'CONDITIONAL' OR coalesce(conditions, '') <> ''),     -- Art. 15
    CHECK (jsonb_array_length(content -> 'items') BETWEEN 1 AND 500)
);
CREATE TABLE control.catalogue_item (
    dataset text NOT NULL,
    edition integer NOT NULL,
    n integer NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    element text NOT NULL CHECK (element <> ''),
    personal boolean NOT NULL,
    source_department text NOT NULL REFERENCES control.department (name),
    PRIMARY KEY (dataset, edition, n),
    FOREIGN KEY (dataset, edition) REFERENCES control.catalogue_edition (dataset, edition)
);
CREATE INDEX catalogue_item_by_element ON control.catalogue_item (element);

CREATE TABLE control.catalogue_step (
    dataset text NOT NULL REFERENCES control.catalogue_entry (dataset),
    n integer NOT NULL,
    event text NOT NULL,
    actor text NOT NULL, -- SPIFFE id of the officer
    department text NOT NULL,
    request_id text NOT NULL,
    note text NOT NULL DEFAULT '' CHECK (octet_length(note) <= 1024),
    secrecy_ref text NOT NULL DEFAULT '' CHECK (octet_length(secrecy_ref) <= 1024),
    impact_ref text NOT NULL DEFAULT '' CHECK (octet_length(impact_ref) <= 1024),
    days integer NOT NULL DEFAULT 0 CHECK (days BETWEEN 0 AND 5),
    due_on date, -- the last day of the deadline that runs from here on, as the gateway's calendar says
    -- Filled in by the trigger.
    edition integer NOT NULL,
    at timestamptz NOT NULL,
    state_from text NOT NULL,
    state_to text NOT NULL,
    late boolean NOT NULL, -- it ended a deadline after its last day
    PRIMARY KEY (dataset, n)
);
-- The same request sent twice takes one step (AIP-155).
CREATE UNIQUE INDEX catalogue_step_by_request ON control.catalogue_step (dataset, actor, request_id);

-- Who somebody is to an entry. Its author is nothing else.
CREATE FUNCTION control.catalogue_roles(e control.catalogue_entry, p_actor text, p_department text) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT CASE WHEN p_actor = e.author THEN '{AUTHOR}'::text[]
        ELSE array_remove(ARRAY[
            CASE WHEN p_department = e.department THEN 'COLLEAGUE' END,
            CASE WHEN p_department = (SELECT p.authority FROM control.application_policy p)
                THEN 'AUTHORITY' END], NULL) END
    $$;

-- A data item of the latest edition that another published entry says comes from another department.
CREATE FUNCTION control.catalogue_conflict(p_dataset text, p_edition integer) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT mine.name FROM control.catalogue_item mine
        JOIN control.catalogue_item other ON other.element = mine.element
             AND other.source_department <> mine.source_department
        JOIN control.catalogue_entry e ON e.dataset = other.dataset AND e.published_edition = other.edition
        WHERE (mine.dataset, mine.edition) = (p_dataset, p_edition) AND e.dataset <> p_dataset
          AND e.state <> 'RETIRED'
        ORDER BY mine.n LIMIT 1
    $$;

-- What the table of rules cannot say; answers the complaint, NULL: none.
CREATE FUNCTION control.catalogue_complaint(e control.catalogue_entry, s control.catalogue_step,
    p_policy control.application_policy) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT CASE
        WHEN NOT control.schema_officer(s.actor, s.department,
                coalesce(substring(s.actor FROM '/officer/([^/]+)$'), ''))
            THEN 'the step is not taken by a registered officer'
        WHEN s.note = '' AND s.event IN ('RETURN', 'RETURN_CHANGE', 'CHANGE', 'ASK_EXTENSION', 'RETIRE')
            THEN 'the step needs a reason'
        WHEN s.event = 'WRITE' AND NOT EXISTS (
            SELECT FROM control.catalogue_edition d WHERE d.dataset = e.dataset AND d.edition = e.edition + 1
               AND d.author = s.actor)
            THEN 'there is no new edition'
        WHEN s.event = 'ASSESS' AND (s.secrecy_ref = '' OR s.impact_ref = '' AND EXISTS (
            SELECT FROM control.catalogue_item i
            WHERE i.dataset = e.dataset AND i.edition = e.edition AND i.personal))
            THEN 'an assessment is not on record'
        WHEN s.event IN ('ASSESS', 'SUBMIT') AND e.edition = coalesce(e.published_edition, 0)
            THEN 'there is nothing new'
        WHEN s.event = 'SUBMIT' AND e.secrecy_ref = '' THEN 'it has not been assessed'
        WHEN s.event IN ('PUBLISH', 'RETURN', 'RETURN_CHANGE') AND s.actor IN (e.approved_by, e.submitted_by)
            THEN 'another officer reviews'
        WHEN s.event = 'RETURN' AND e.published_edition IS NOT NULL THEN 'its change is still due'
        WHEN s.event = 'RETURN_CHANGE' AND e.published_edition IS NULL THEN 'it has never been published'
        WHEN s.event = 'PUBLISH' AND control.catalogue_conflict(e.dataset, e.edition) IS NOT NULL
            THEN 'a data item has another source department'
        WHEN s.event = 'ASK_EXTENSION' AND e.extension_asked_by IS NOT NULL THEN 'it has been asked for'
        WHEN s.event = 'ASK_EXTENSION' AND s.days NOT BETWEEN 1 AND p_policy.update_extension_days
            THEN 'the extension is too long'
        WHEN s.event = 'EXTEND' AND e.extension_asked_by IS NULL THEN 'no extension has been asked for'
        WHEN s.event = 'EXTEND' AND e.extension_asked_by = s.actor THEN 'another officer agrees'
        WHEN s.event = 'EXTEND' AND e.change_days > p_policy.update_days THEN 'it has been extended'
        END
    $$;

-- Checks a step and moves its entry. Runs as the owner: the worker's role changes no entry.
CREATE FUNCTION control.catalogue_take_step() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    e control.catalogue_entry;
    policy control.application_policy;
    complaint text;
    target text;
    fresh boolean;  -- a change begins to be due
    renews boolean; -- what was said of the latest edition is void
BEGIN
    SELECT * INTO e FROM control.catalogue_entry WHERE dataset = NEW.dataset FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no such entry' USING ERRCODE = 'foreign_key_violation';
    ELSIF NEW.n <> e.version + 1 THEN
        RAISE EXCEPTION 'another step was taken meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
    SELECT * INTO policy FROM control.application_policy;
    SELECT r.state_to INTO target FROM control.catalogue_rule r
        WHERE r.event = NEW.event AND r.state_from = e.state
          AND r.roles && control.catalogue_roles(e, NEW.actor, NEW.department);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this step is not taken in this state by this officer' USING ERRCODE = 'check_violation';
    END IF;
    complaint := control.catalogue_complaint(e, NEW, policy);
    IF complaint IS NOT NULL THEN
        RAISE EXCEPTION '%', complaint USING ERRCODE = 'check_violation';
    END IF;

    NEW.edition := CASE WHEN NEW.event = 'WRITE' THEN e.edition + 1 ELSE e.edition END;
    NEW.at := now();
    NEW.state_from := e.state;
    NEW.state_to := target;
    fresh := NEW.event = 'CHANGE';
    renews := NEW.event IN ('WRITE', 'CHANGE', 'RETURN', 'RETURN_CHANGE');
    UPDATE control.catalogue_entry SET
        state = target, state_since = CASE WHEN target = e.state THEN e.state_since ELSE now() END,
        version = NEW.n, edition = NEW.edition,
        author = CASE WHEN NEW.event = 'WRITE' THEN NEW.actor ELSE e.author END,
        secrecy_ref = CASE WHEN NEW.event = 'ASSESS' THEN NEW.secrecy_ref WHEN renews THEN '' ELSE e.secrecy_ref END,
        impact_ref = CASE WHEN NEW.event = 'ASSESS' THEN NEW.impact_ref WHEN renews THEN '' ELSE e.impact_ref END,
        assessed_by = CASE WHEN NEW.event = 'ASSESS' THEN NEW.actor WHEN renews THEN NULL ELSE e.assessed_by END,
        approved_by = CASE WHEN NEW.event = 'APPROVE' THEN NEW.actor WHEN renews THEN NULL ELSE e.approved_by END,
        submitted_by = CASE WHEN NEW.event = 'SUBMIT' THEN NEW.actor WHEN renews THEN NULL ELSE e.submitted_by END,
        published_edition = CASE WHEN NEW.event = 'PUBLISH' THEN e.edition ELSE e.published_edition END,
        published_by = CASE WHEN NEW.event = 'PUBLISH' THEN NEW.actor ELSE e.published_by END,
        published_at = CASE WHEN NEW.event = 'PUBLISH' THEN now() ELSE e.published_at END,
        change_from = CASE WHEN fresh THEN now() ELSE e.change_from END,
        change_days = CASE WHEN fresh THEN policy.update_days
                           WHEN NEW.event = 'EXTEND' THEN e.change_days + e.extension_days
                           ELSE e.change_days END,
        extension_asked_by = CASE WHEN NEW.event = 'ASK_EXTENSION' THEN NEW.actor
                                  WHEN fresh THEN NULL ELSE e.extension_asked_by END,
        extension_days = CASE WHEN NEW.event = 'ASK_EXTENSION' THEN NEW.days
                              WHEN fresh THEN NULL ELSE e.extension_days END,
        epoch = CASE WHEN NEW.event IN ('PUBLISH', 'RETIRE') THEN control.next_epoch() ELSE e.epoch END
        WHERE dataset = e.dataset RETURNING * INTO e;
    PERFORM control.catalogue_run_clock(e, NEW.due_on, policy.review_days);
    NEW.late := NEW.event IN ('SUBMIT', 'PUBLISH', 'RETURN_CHANGE', 'RETIRE')
        AND coalesce((now() AT TIME ZONE 'Asia/Shanghai')::date > e.due_on, false);
    RETURN NEW;
END
$$;

-- The deadline that runs in the state that an entry has come to.
CREATE FUNCTION control.catalogue_run_clock(e control.catalogue_entry, p_due date, p_review_days integer)
    RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
DECLARE
    runs text := CASE WHEN e.state = 'CHANGE_DUE' THEN 'UPDATE'
                      WHEN e.state = 'SUBMITTED' AND e.published_edition IS NOT NULL THEN 'REVIEW' END;
    since timestamptz := CASE runs WHEN 'UPDATE' THEN e.change_from WHEN 'REVIEW' THEN e.state_since END;
    length integer := CASE runs WHEN 'UPDATE' THEN e.change_days WHEN 'REVIEW' THEN p_review_days END;
BEGIN
    -- Midnight may have passed since the gateway counted.
    IF p_due IS NOT NULL
       AND (runs IS NULL OR p_due + 1 < (since AT TIME ZONE 'Asia/Shanghai')::date + length) THEN
        RAISE EXCEPTION 'the deadline is not what runs' USING ERRCODE = 'check_violation';
    END IF;
    UPDATE control.catalogue_entry SET clock = runs, clock_from = since, clock_days = length, due_on = p_due
        WHERE dataset = e.dataset;
END
$$;
CREATE TRIGGER take_step BEFORE INSERT ON control.catalogue_step
    FOR EACH ROW EXECUTE FUNCTION control.catalogue_take_step();

-- Writes entries of a department, each a new edition unless it equals the latest one; all or none. Answers the
-- datasets that were written. Runs as the owner; the trigger above judges who may write in which state.
CREATE FUNCTION control.catalogue_write(p_actor text, p_department text, p_request_id text, p_entries jsonb)
    RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    c jsonb;
    e control.catalogue_entry;
BEGIN
    IF NOT control.schema_officer(p_actor, p_department,
                                  coalesce(substring(p_actor FROM '/officer/([^/]+)$'), '')) THEN
        RAISE EXCEPTION 'no such officer' USING ERRCODE = 'check_violation';
    END IF;
    -- In one order, so that two imports wait for each other rather than lock each other out.
    FOR c IN SELECT x FROM jsonb_array_elements(p_entries) AS a (x) ORDER BY (x ->> 'dataset') COLLATE "C" LOOP
        INSERT INTO control.catalogue_entry (dataset, department, author)
            VALUES (c ->> 'dataset', p_department, p_actor) ON CONFLICT DO NOTHING;
        SELECT * INTO e FROM control.catalogue_entry WHERE dataset = c ->> 'dataset' FOR UPDATE;
        IF e.department <> p_department THEN
            RAISE EXCEPTION 'the entry is another department''s' USING ERRCODE = 'check_violation';
        END IF;
        CONTINUE WHEN EXISTS (SELECT FROM control.catalogue_step s WHERE s.dataset = e.dataset
                                 AND s.actor = p_actor AND s.request_id = p_request_id)
            OR EXISTS (SELECT FROM control.catalogue_edition d
                       WHERE d.dataset = e.dataset AND d.edition = e.edition AND d.content = c);
        INSERT INTO control.catalogue_edition (dataset, edition, content, author)
            VALUES (e.dataset, e.edition + 1, c, p_actor);
        INSERT INTO control.catalogue_item (dataset, edition, n, name, element, personal, source_department)
            SELECT e.dataset, e.edition + 1, i.n, i.x ->> 'name', i.x ->> 'element',
                   i.x ->> 'personal' IN ('GENERAL', 'SENSITIVE'), i.x ->> 'source_department'
            FROM jsonb_array_elements(c -> 'items') WITH ORDINALITY AS i (x, n);
        INSERT INTO control.catalogue_step (dataset, n, event, actor, department, request_id, due_on)
            VALUES (e.dataset, e.version + 1, 'WRITE', p_actor, p_department, p_request_id,
                    CASE WHEN e.state = 'CHANGE_DUE' THEN e.due_on END);
        RETURN NEXT e.dataset;
    END LOOP;
END
$$;

-- Whoever updates: a state follows another only by a rule, and an edition stays as it was written.
CREATE FUNCTION control.catalogue_guard() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    IF (NEW.dataset, NEW.department) IS DISTINCT FROM (OLD.dataset, OLD.department) THEN
        RAISE EXCEPTION 'an entry stays its department''s' USING ERRCODE = 'check_violation';
    ELSIF NEW.version = OLD.version AND (NEW.state, NEW.edition, NEW.author, NEW.secrecy_ref, NEW.impact_ref,
              NEW.approved_by, NEW.submitted_by, NEW.published_edition, NEW.published_by)
          IS DISTINCT FROM (OLD.state, OLD.edition, OLD.author, OLD.secrecy_ref, OLD.impact_ref,
              OLD.approved_by, OLD.submitted_by, OLD.published_edition, OLD.published_by)
       OR NEW.version NOT IN (OLD.version, OLD.version + 1)
       OR NEW.version > OLD.version AND NOT EXISTS (SELECT FROM control.catalogue_rule r
              WHERE r.state_from = OLD.state AND r.state_to = NEW.state) THEN
        RAISE EXCEPTION 'an entry is moved by its steps only' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard BEFORE UPDATE ON control.catalogue_entry
    FOR EACH ROW EXECUTE FUNCTION control.catalogue_guard();

CREATE FUNCTION control.catalogue_keep() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    RAISE EXCEPTION 'entries, their editions and their steps are kept' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER keep BEFORE DELETE OR TRUNCATE ON control.catalogue_entry
    FOR EACH STATEMENT EXECUTE FUNCTION control.catalogue_keep();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON control.catalogue_edition
    FOR EACH STATEMENT EXECUTE FUNCTION control.catalogue_keep();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON control.catalogue_item
    FOR EACH STATEMENT EXECUTE FUNCTION control.catalogue_keep();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON control.catalogue_step
    FOR EACH STATEMENT EXECUTE FUNCTION control.catalogue_keep();

-- --- what an entry forbids --------------------------------------------------------------------------

-- What is in force; a worker keeps it in memory and reads what is above the last epoch it saw.
CREATE VIEW control.catalogue_in_force AS
    SELECT e.dataset, e.epoch, d.sharing, e.state = 'RETIRED' AS retired
    FROM control.catalogue_entry e
    JOIN control.catalogue_edition d ON d.dataset = e.dataset AND d.edition = e.published_edition;

-- A dataset that is not shared, or no longer, is neither applied for nor granted. What was granted before stays
-- until its owner ends it (Art. 27).
CREATE FUNCTION control.catalogue_forbid() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    IF EXISTS (SELECT FROM control.catalogue_in_force f
               WHERE f.dataset = NEW.dataset AND (f.retired OR f.sharing = 'DENIED')) THEN
        RAISE EXCEPTION 'the catalogue does not share this dataset' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER catalogue_forbids BEFORE INSERT ON control.agreement
    FOR EACH ROW EXECUTE FUNCTION control.catalogue_forbid();
CREATE TRIGGER catalogue_forbids BEFORE INSERT ON control.application
    FOR EACH ROW EXECUTE FUNCTION control.catalogue_forbid();

-- --- who may do what --------------------------------------------------------------------------------

REVOKE ALL ON FUNCTION control.catalogue_roles(control.catalogue_entry, text, text),
    control.catalogue_complaint(control.catalogue_entry, control.catalogue_step, control.application_policy),
    control.catalogue_run_clock(control.catalogue_entry, date, integer), control.catalogue_take_step(),
    control.catalogue_write(text, text, text, jsonb), control.catalogue_conflict(text, integer),
    control.catalogue_guard(), control.catalogue_keep(), control.catalogue_forbid() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.catalogue_write(text, text, text, jsonb),
    control.catalogue_conflict(text, integer) TO sluice_worker;
GRANT SELECT ON control.catalogue_rule, control.catalogue_entry, control.catalogue_edition, control.catalogue_item,
    control.catalogue_step, control.catalogue_in_force TO sluice_worker;
GRANT INSERT (dataset, n, event, actor, department, request_id, note, secrecy_ref, impact_ref, days, due_on)
    ON control.catalogue_step TO sluice_worker;
