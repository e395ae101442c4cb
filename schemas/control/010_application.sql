-- Applications for access: from request to disposal, after the 2025 regulation on government data sharing
-- (政务数据共享条例, Art. 20-22 and 27). A gateway inserts an application and then its steps, and changes
-- nothing: the trigger of control.application_step checks each step again, whatever the gateway said, and moves
-- the application. Activating, suspending, resuming and terminating move the agreement in the same transaction.

-- --- working days -----------------------------------------------------------------------------------

-- Loaded by `sluice calendar load` from the yearly notice. A year that is not here is unknown: a deadline that
-- needs it is shown as such, never guessed.
CREATE TABLE control.workday_year (
    year integer PRIMARY KEY CHECK (year BETWEEN 2000 AND 2199),
    source text NOT NULL CHECK (octet_length(source) BETWEEN 1 AND 512),
    loaded_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE control.workday_calendar (
    day date PRIMARY KEY,
    year integer NOT NULL REFERENCES control.workday_year (year) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('off', 'work')),
    CHECK (year = extract(year FROM day)),
    CHECK (kind = 'off' OR extract(isodow FROM day) IN (6, 7))
);

-- --- what the operator settles ----------------------------------------------------------------------

-- Deadlines in working days may only be made shorter than the regulation's.
CREATE TABLE control.application_policy (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    authority text REFERENCES control.department (name), -- 主管部门, consents to extensions; NULL: none
    answer_days integer NOT NULL DEFAULT 10 CHECK (answer_days BETWEEN 1 AND 10),     -- CONDITIONAL; OPEN: 1
    extension_days integer NOT NULL DEFAULT 10 CHECK (extension_days BETWEEN 1 AND 10), -- at most
    provide_days integer NOT NULL DEFAULT 20 CHECK (provide_days BETWEEN 1 AND 20),
    -- The regulation does not say whether supplements restart the clock. received: they do not.
    clock text NOT NULL DEFAULT 'received' CHECK (clock IN ('received', 'completed'))
);
INSERT INTO control.application_policy DEFAULT VALUES;

-- Every step that may be taken; gateway/authz/application.c has the same rows.
CREATE TABLE control.application_rule (
    event text NOT NULL,
    state_from text NOT NULL,
    state_to text NOT NULL,
    roles text[] NOT NULL,
    PRIMARY KEY (event, state_from)
);
INSERT INTO control.application_rule (event, state_from, state_to, roles) VALUES
    ('SIGN_OFF', 'DRAFT', 'SIGNED_OFF', '{COLLEAGUE}'),
    ('SUBMIT', 'SIGNED_OFF', 'SUBMITTED', '{APPLICANT,COLLEAGUE}'),
    ('ASK_SUPPLEMENT', 'SUBMITTED', 'SUPPLEMENT_ASKED', '{OWNER}'),
    ('ANSWER_SUPPLEMENT', 'SUPPLEMENT_ASKED', 'SUBMITTED', '{APPLICANT,COLLEAGUE}'),
    ('ASK_EXTENSION', 'SUBMITTED', 'SUBMITTED', '{OWNER}'),
    ('EXTEND', 'SUBMITTED', 'EXTENDED', '{AUTHORITY}'),
    ('AGREE', 'SUBMITTED', 'AGREED', '{OWNER}'),
    ('AGREE', 'EXTENDED', 'AGREED', '{OWNER}'),
    ('REFUSE', 'SUBMITTED', 'REFUSED', '{OWNER}'),
    ('REFUSE', 'EXTENDED', 'REFUSED', '{OWNER}'),
    ('PROVISION', 'AGREED', 'PROVISIONING', '{OWNER}'),
    ('ACTIVATE', 'PROVISIONING', 'ACTIVE', '{OWNER}'),
    ('EXPIRE', 'ACTIVE', 'EXPIRED', '{CLOCK}'),
    ('SUSPEND', 'ACTIVE', 'SUSPENDED', '{OWNER}'),
    ('RESUME', 'SUSPENDED', 'ACTIVE', '{OWNER}'),
    ('TERMINATE', 'SUSPENDED', 'TERMINATED', '{OWNER}'),
    ('REQUIRE_DISPOSAL', 'EXPIRED', 'DISPOSAL_DUE', '{APPLICANT,COLLEAGUE,OWNER}'),
    ('REQUIRE_DISPOSAL', 'TERMINATED', 'DISPOSAL_DUE', '{APPLICANT,COLLEAGUE,OWNER}'),
    ('CONFIRM_DISPOSAL', 'DISPOSAL_DUE', 'DISPOSED', '{APPLICANT,COLLEAGUE}');

-- --- agreements can pause ---------------------------------------------------------------------------

ALTER TABLE control.agreement ADD COLUMN suspended_at timestamptz;

-- --- applications -----------------------------------------------------------------------------------

CREATE TABLE control.application (
    id text PRIMARY KEY CHECK (id ~ '^app-[a-z2-7]{12}$'),
    -- What is applied for; it never changes, and the agreement says exactly the same.
    requester_department text NOT NULL REFERENCES control.department (name),
    consumer_system text NOT NULL,
    dataset text NOT NULL,
    owner_department text NOT NULL REFERENCES control.department (name),
    fields text[] NOT NULL CHECK (cardinality(fields) > 0),
    row_filter text NOT NULL DEFAULT '',
    purposes text[] NOT NULL CHECK (cardinality(purposes) > 0),
    modes integer[] NOT NULL CHECK (cardinality(modes) > 0),                   -- 共享方式
    valid_from timestamptz,                                                    -- NULL: when it becomes active
    valid_until timestamptz NOT NULL,                                          -- 使用时限
    rate_per_second double precision NOT NULL DEFAULT 0,
    rate_burst integer NOT NULL DEFAULT 0,
    daily_quota bigint NOT NULL DEFAULT 0,
    legal_basis text NOT NULL CHECK (octet_length(legal_basis) BETWEEN 1 AND 1024), -- 使用依据
    scenario text NOT NULL CHECK (octet_length(scenario) BETWEEN 1 AND 1024),  -- 使用场景
    scope text NOT NULL CHECK (octet_length(scope) BETWEEN 1 AND 1024),        -- 使用范围
    open boolean NOT NULL,                                                     -- 无条件共享
    applicant text NOT NULL, -- SPIFFE id of the officer
    request_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- What its steps have made of it.
    state text NOT NULL DEFAULT 'DRAFT',
    state_since timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 0, -- the number of its last step
    signed_off_by text,
    received_at timestamptz,
    completed_at timestamptz,
    supplement_asked boolean NOT NULL DEFAULT false,
    extension_asked_by text,
    extension_days integer,
    decided_by text,
    decision_reason text,
    agreement text REFERENCES control.agreement (id),
    -- The deadline that runs: within clock_days working days of clock_from. due_on NULL: it could not be told.
    clock text CHECK (clock IN ('ANSWER', 'PROVIDE', 'DISPOSE')),
    clock_from timestamptz,
    clock_days integer,
    due_on date,
    UNIQUE (applicant, request_id),
    CHECK (requester_department <> owner_department),
    CHECK (signed_off_by <> applicant),
    CHECK (decided_by <> applicant),
    CHECK (state <> 'REFUSED' OR octet_length(decision_reason) > 0),
    CHECK ((clock IS NULL) = (clock_from IS NULL) AND (clock IS NULL) = (clock_days IS NULL)),
    CHECK (clock IS NOT NULL OR due_on IS NULL)
);
CREATE INDEX application_by_requester ON control.application (requester_department, id);
CREATE INDEX application_by_owner ON control.application (owner_department, id);

CREATE TABLE control.application_step (
    application text NOT NULL REFERENCES control.application (id),
    n integer NOT NULL,
    event text NOT NULL,
    actor text NOT NULL, -- SPIFFE id of the officer; 'gateway': a time has come
    department text NOT NULL,
    request_id text NOT NULL,
    -- A reason, an opinion, what is missing, its answer, or the certificate of disposal.
    note text NOT NULL DEFAULT '' CHECK (octet_length(note) <= 1024),
    negotiation_ref text NOT NULL DEFAULT '' CHECK (octet_length(negotiation_ref) <= 1024),
    filing_ref text NOT NULL DEFAULT '' CHECK (octet_length(filing_ref) <= 1024),
    days integer NOT NULL DEFAULT 0 CHECK (days BETWEEN 0 AND 366),
    agreement text,
    due_on date, -- the last day of the deadline that runs from here on, as the gateway's calendar says
    -- Filled in by the trigger.
    at timestamptz NOT NULL,
    state_from text NOT NULL,
    state_to text NOT NULL,
    late boolean NOT NULL, -- it ended a deadline after its last day
    PRIMARY KEY (application, n)
);
-- The same request sent twice takes one step (AIP-155).
CREATE UNIQUE INDEX application_step_by_request ON control.application_step (application, actor, request_id);

-- Who somebody is to an application.
CREATE FUNCTION control.application_roles(a control.application, p_actor text, p_department text) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT CASE WHEN p_actor = 'gateway' THEN '{CLOCK}'::text[]
        WHEN p_actor = a.applicant THEN '{APPLICANT}'::text[]
        ELSE array_remove(ARRAY[
            CASE WHEN p_department = a.requester_department THEN 'COLLEAGUE' END,
            CASE WHEN p_department = a.owner_department THEN 'OWNER' END,
            CASE WHEN p_department = (SELECT p.authority FROM control.application_policy p)
                THEN 'AUTHORITY' END], NULL) END
    $$;

-- What the table of rules cannot say; answers the complaint, NULL: none.
CREATE FUNCTION control.application_complaint(a control.application, s control.application_step,
    p_policy control.application_policy) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT CASE
        WHEN s.actor <> 'gateway' AND NOT control.schema_officer(s.actor, s.department,
                coalesce(substring(s.actor FROM '/officer/([^/]+)$'), ''))
            THEN 'the step is not taken by a registered officer'
        WHEN s.note = '' AND s.event IN ('ASK_SUPPLEMENT', 'ANSWER_SUPPLEMENT', 'ASK_EXTENSION', 'REFUSE',
                'SUSPEND', 'RESUME', 'TERMINATE', 'CONFIRM_DISPOSAL')
            THEN 'the step needs a reason'
        WHEN s.event = 'ASK_SUPPLEMENT' AND a.supplement_asked THEN 'supplements are asked for once'
        WHEN s.event IN ('ASK_EXTENSION', 'EXTEND') AND a.open THEN 'an open dataset is answered in one day'
        WHEN s.event = 'ASK_EXTENSION' AND a.extension_asked_by IS NOT NULL THEN 'it has been asked for'
        WHEN s.event = 'ASK_EXTENSION' AND s.days NOT BETWEEN 1 AND p_policy.extension_days
            THEN 'the extension is too long'
        WHEN s.event = 'EXTEND' AND a.extension_asked_by IS NULL THEN 'no extension has been asked for'
        WHEN s.event = 'EXTEND' AND a.extension_asked_by = s.actor THEN 'another officer consents'
        WHEN s.event IN ('ACTIVATE', 'RESUME') AND a.valid_until <= now() THEN 'its time is over'
        WHEN s.event = 'EXPIRE' AND a.valid_until > now() THEN 'its time is not over'
        WHEN s.event = 'TERMINATE' AND (s.negotiation_ref = '' OR s.filing_ref = '')
            THEN 'terminating needs a negotiation and a filing'
        WHEN s.event = 'REQUIRE_DISPOSAL' AND s.days < 1 THEN 'disposal needs a deadline'
        WHEN s.event = 'ACTIVATE' AND NOT EXISTS (
            SELECT FROM control.agreement g
            WHERE g.id = s.agreement AND g.revoked_at IS NULL AND g.granted_by = s.actor
              AND (g.consumer_department, g.consumer_system, g.dataset, g.owner_department, g.fields,
                   g.row_filter, g.purposes, g.modes, g.valid_until, g.rate_per_second, g.rate_burst,
                   g.legal_basis, g.daily_quota)
                = (a.requester_department, a.consumer_system, a.dataset, a.owner_department, a.fields,
                   a.row_filter, a.purposes, a.modes, a.valid_until, a.rate_per_second, a.rate_burst,
                   a.legal_basis, a.daily_quota)
              AND g.valid_from >= coalesce(a.valid_from, a.created_at))
            THEN 'the agreement is not what was agreed'
        END
    $$;

-- The agreement follows its application.
CREATE FUNCTION control.application_move_agreement(p_event text, p_agreement text, p_actor text, p_note text)
    RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    IF p_event = 'SUSPEND' THEN
        UPDATE control.agreement SET suspended_at = now(), epoch = control.next_epoch()
            WHERE id = p_agreement AND revoked_at IS NULL;
    ELSIF p_event = 'RESUME' THEN
        UPDATE control.agreement SET suspended_at = NULL, epoch = control.next_epoch()
            WHERE id = p_agreement AND revoked_at IS NULL;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'its agreement was revoked' USING ERRCODE = 'check_violation';
        END IF;
    ELSIF p_event = 'TERMINATE' THEN
        UPDATE control.agreement SET revoked_at = now(), revoked_by = p_actor, revoke_reason = p_note,
               epoch = control.next_epoch()
            WHERE id = p_agreement AND revoked_at IS NULL;
    END IF;
END
$$;

-- Checks a step and moves its application. Runs as the owner: the worker's role changes no application.
CREATE FUNCTION control.application_take_step() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    a control.application;
    policy control.application_policy;
    complaint text;
    target text;
    runs text;      -- the deadline that runs in the new state
    since timestamptz;
    length integer;
BEGIN
    SELECT * INTO a FROM control.application WHERE id = NEW.application FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no such application' USING ERRCODE = 'foreign_key_violation';
    ELSIF NEW.n <> a.version + 1 THEN
        RAISE EXCEPTION 'another step was taken meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
    SELECT * INTO policy FROM control.application_policy;
    SELECT r.state_to INTO target FROM control.application_rule r
        WHERE r.event = NEW.event AND r.state_from = a.state
          AND r.roles && control.application_roles(a, NEW.actor, NEW.department);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this step is not taken in this state by this officer' USING ERRCODE = 'check_violation';
    END IF;
    complaint := control.application_complaint(a, NEW, policy);
    IF complaint IS NOT NULL THEN
        RAISE EXCEPTION '%', complaint USING ERRCODE = 'check_violation';
    END IF;

    runs := CASE WHEN target IN ('SUBMITTED', 'SUPPLEMENT_ASKED', 'EXTENDED') THEN 'ANSWER'
                 WHEN target IN ('AGREED', 'PROVISIONING') THEN 'PROVIDE'
                 WHEN target = 'DISPOSAL_DUE' THEN 'DISPOSE' END;
    since := CASE WHEN runs IS NULL THEN NULL
                  WHEN NEW.event IN ('SUBMIT', 'AGREE', 'REQUIRE_DISPOSAL')
                    OR (NEW.event = 'ANSWER_SUPPLEMENT' AND policy.clock = 'completed') THEN now()
                  ELSE a.clock_from END;
    length := CASE WHEN runs IS NULL THEN NULL
                   WHEN NEW.event = 'SUBMIT' THEN CASE WHEN a.open THEN 1 ELSE policy.answer_days END
                   WHEN NEW.event = 'EXTEND' THEN a.clock_days + a.extension_days
                   WHEN NEW.event = 'AGREE' THEN policy.provide_days
                   WHEN NEW.event = 'REQUIRE_DISPOSAL' THEN NEW.days
                   ELSE a.clock_days END;
    -- Midnight may have passed since the gateway counted.
    IF NEW.due_on IS NOT NULL
       AND (runs IS NULL OR NEW.due_on + 1 < (since AT TIME ZONE 'Asia/Shanghai')::date + length) THEN
        RAISE EXCEPTION 'the deadline is not what runs' USING ERRCODE = 'check_violation';
    END IF;

    NEW.at := now();
    NEW.state_from := a.state;
    NEW.state_to := target;
    NEW.late := a.clock IS NOT NULL AND runs IS DISTINCT FROM a.clock
                AND coalesce((now() AT TIME ZONE 'Asia/Shanghai')::date > a.due_on, false);
    UPDATE control.application SET
        state = target, state_since = CASE WHEN target = a.state THEN a.state_since ELSE now() END,
        version = NEW.n,
        signed_off_by = CASE WHEN NEW.event = 'SIGN_OFF' THEN NEW.actor ELSE a.signed_off_by END,
        received_at = CASE WHEN NEW.event = 'SUBMIT' THEN now() ELSE a.received_at END,
        completed_at = CASE WHEN NEW.event IN ('SUBMIT', 'ANSWER_SUPPLEMENT') THEN now() ELSE a.completed_at END,
        supplement_asked = a.supplement_asked OR NEW.event = 'ASK_SUPPLEMENT',
        extension_asked_by = CASE WHEN NEW.event = 'ASK_EXTENSION' THEN NEW.actor ELSE a.extension_asked_by END,
        extension_days = CASE WHEN NEW.event = 'ASK_EXTENSION' THEN NEW.days ELSE a.extension_days END,
        decided_by = CASE WHEN NEW.event IN ('AGREE', 'REFUSE') THEN NEW.actor ELSE a.decided_by END,
        decision_reason = CASE WHEN NEW.event IN ('AGREE', 'REFUSE') THEN NEW.note ELSE a.decision_reason END,
        agreement = CASE WHEN NEW.event = 'ACTIVATE' THEN NEW.agreement ELSE a.agreement END,
        clock = runs, clock_from = since, clock_days = length, due_on = NEW.due_on
        WHERE id = a.id;
    PERFORM control.application_move_agreement(NEW.event, a.agreement, NEW.actor, NEW.note);
    RETURN NEW;
END
$$;
CREATE TRIGGER take_step BEFORE INSERT ON control.application_step
    FOR EACH ROW EXECUTE FUNCTION control.application_take_step();

-- Whoever updates: terms stay, and a state follows another only by a rule.
CREATE FUNCTION control.application_guard() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    IF (NEW.id, NEW.requester_department, NEW.consumer_system, NEW.dataset, NEW.owner_department, NEW.fields,
        NEW.row_filter, NEW.purposes, NEW.modes, NEW.valid_from, NEW.valid_until, NEW.rate_per_second,
        NEW.rate_burst, NEW.daily_quota, NEW.legal_basis, NEW.scenario, NEW.scope, NEW.open, NEW.applicant,
        NEW.request_id, NEW.created_at)
       IS DISTINCT FROM
       (OLD.id, OLD.requester_department, OLD.consumer_system, OLD.dataset, OLD.owner_department, OLD.fields,
        OLD.row_filter, OLD.purposes, OLD.modes, OLD.valid_from, OLD.valid_until, OLD.rate_per_second,
        OLD.rate_burst, OLD.daily_quota, OLD.legal_basis, OLD.scenario, OLD.scope, OLD.open, OLD.applicant,
        OLD.request_id, OLD.created_at) THEN
        RAISE EXCEPTION 'what was applied for does not change' USING ERRCODE = 'check_violation';
    ELSIF NEW.version <> OLD.version + 1 OR NOT EXISTS (SELECT FROM control.application_rule r
              WHERE r.state_from = OLD.state AND r.state_to = NEW.state) THEN
        RAISE EXCEPTION 'an application is moved by its steps only' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard BEFORE UPDATE ON control.application
    FOR EACH ROW EXECUTE FUNCTION control.application_guard();

CREATE FUNCTION control.application_keep() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    RAISE EXCEPTION 'applications and their steps are kept' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER keep BEFORE DELETE OR TRUNCATE ON control.application
    FOR EACH STATEMENT EXECUTE FUNCTION control.application_keep();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON control.application_step
    FOR EACH STATEMENT EXECUTE FUNCTION control.application_keep();

-- A draft is made by an officer of the department that is to consume.
CREATE FUNCTION control.application_drafted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    IF NEW.state <> 'DRAFT' OR NEW.version <> 0 OR NOT control.schema_officer(NEW.applicant,
           NEW.requester_department, coalesce(substring(NEW.applicant FROM '/officer/([^/]+)$'), '')) THEN
        RAISE EXCEPTION 'an application is drafted by an officer of the requesting department'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER drafted BEFORE INSERT ON control.application
    FOR EACH ROW EXECUTE FUNCTION control.application_drafted();

-- --- who may do what --------------------------------------------------------------------------------

REVOKE ALL ON FUNCTION control.application_roles(control.application, text, text),
    control.application_complaint(control.application, control.application_step, control.application_policy),
    control.application_move_agreement(text, text, text, text), control.application_take_step(),
    control.application_guard(), control.application_keep(), control.application_drafted() FROM PUBLIC;
GRANT SELECT ON control.workday_year, control.workday_calendar, control.application_policy,
    control.application_rule, control.application, control.application_step TO sluice_worker;
GRANT INSERT (id, requester_department, consumer_system, dataset, owner_department, fields, row_filter, purposes,
    modes, valid_from, valid_until, rate_per_second, rate_burst, daily_quota, legal_basis, scenario, scope, open,
    applicant, request_id) ON control.application TO sluice_worker;
GRANT INSERT (application, n, event, actor, department, request_id, note, negotiation_ref, filing_ref, days,
    agreement, due_on) ON control.application_step TO sluice_worker;
