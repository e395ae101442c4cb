-- Roles of officers (docs/officers.md): what each may do at all, whatever agreements and ownership say.
-- Officers registered before have what they had: all but the administrator's part.

ALTER TABLE control.officer
    ADD COLUMN roles text[] NOT NULL DEFAULT '{requester,approver,auditor}',
    ADD CONSTRAINT officer_roles CHECK (
        cardinality(roles) >= 1
        AND roles <@ '{requester,approver,auditor,administrator}'
        -- Who configures sees no records, so never both.
        AND ('administrator' <> ALL (roles) OR cardinality(roles) = 1));
