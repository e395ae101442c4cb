-- What an agreement binds beside fields, rows and purposes: masks of fields, networks, times of day, and the
-- owner's consent to passing data on. An agreement without them is what it was, and so is its digest.

ALTER TABLE control.agreement
    -- "field=kind", "field=kind:keep", "field=kind:keep:character"; see gateway/schema/mask.h.
    ADD COLUMN masks text[] NOT NULL DEFAULT '{}'
        CHECK (cardinality(masks) <= 1024 AND array_position(masks, NULL) IS NULL),
    -- Tells whether a gateway's mask key is the one this agreement's hashes were made with; NULL: no hashes.
    ADD COLUMN mask_key_check bytea CHECK (octet_length(mask_key_check) = 8),
    -- CIDR, "10.1.0.0/16" or "2001:db8::/32"; none: from everywhere.
    ADD COLUMN networks text[] NOT NULL DEFAULT '{}'
        CHECK (cardinality(networks) <= 64 AND array_position(networks, NULL) IS NULL),
    -- "mon,tue 08:30-17:30" in Asia/Shanghai; none: at all times.
    ADD COLUMN windows text[] NOT NULL DEFAULT '{}'
        CHECK (cardinality(windows) <= 16 AND array_position(windows, NULL) IS NULL),
    -- Who else may receive the data (政务数据共享条例 Art. 25); '': nobody.
    ADD COLUMN onward_recipient text NOT NULL DEFAULT '' CHECK (octet_length(onward_recipient) <= 1024);

ALTER TABLE control.application
    ADD COLUMN masks text[] NOT NULL DEFAULT '{}'
        CHECK (cardinality(masks) <= 1024 AND array_position(masks, NULL) IS NULL),
    ADD COLUMN networks text[] NOT NULL DEFAULT '{}'
        CHECK (cardinality(networks) <= 64 AND array_position(networks, NULL) IS NULL),
    ADD COLUMN windows text[] NOT NULL DEFAULT '{}'
        CHECK (cardinality(windows) <= 16 AND array_position(windows, NULL) IS NULL),
    ADD COLUMN onward_recipient text NOT NULL DEFAULT '' CHECK (octet_length(onward_recipient) <= 1024);
GRANT INSERT (masks, networks, windows, onward_recipient) ON control.application TO sluice_worker;

-- These never change either. Triggers of their own, so that those of the other terms stay as they are.
CREATE FUNCTION control.agreement_bounds_immutable() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    IF (NEW.masks, NEW.mask_key_check, NEW.networks, NEW.windows, NEW.onward_recipient) IS DISTINCT FROM
       (OLD.masks, OLD.mask_key_check, OLD.networks, OLD.windows, OLD.onward_recipient) THEN
        RAISE EXCEPTION 'what an agreement binds does not change';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER agreement_bounds_immutable BEFORE UPDATE ON control.agreement
    FOR EACH ROW EXECUTE FUNCTION control.agreement_bounds_immutable();

CREATE FUNCTION control.application_bounds_immutable() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    IF (NEW.masks, NEW.networks, NEW.windows, NEW.onward_recipient) IS DISTINCT FROM
       (OLD.masks, OLD.networks, OLD.windows, OLD.onward_recipient) THEN
        RAISE EXCEPTION 'what was applied for does not change' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER application_bounds_immutable BEFORE UPDATE ON control.application
    FOR EACH ROW EXECUTE FUNCTION control.application_bounds_immutable();

-- The agreement that becomes active says exactly what was applied for, in these terms too.
CREATE FUNCTION control.application_bounds_agreed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM control.application a, control.agreement g
            WHERE a.id = NEW.application AND g.id = NEW.agreement
              AND (g.masks, g.networks, g.windows, g.onward_recipient)
                = (a.masks, a.networks, a.windows, a.onward_recipient)) THEN
        RAISE EXCEPTION 'the agreement is not what was agreed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER bounds_agreed BEFORE INSERT ON control.application_step
    FOR EACH ROW WHEN (NEW.event = 'ACTIVATE') EXECUTE FUNCTION control.application_bounds_agreed();

REVOKE ALL ON FUNCTION control.agreement_bounds_immutable(), control.application_bounds_immutable(),
    control.application_bounds_agreed() FROM PUBLIC;
