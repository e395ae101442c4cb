-- What transfers of `make bench` fill, the same table for psql, and what the gateway's role needs
-- (docs/transfer.md).
SET ROLE civil_affairs_owner;

CREATE TABLE village_received (
    code text PRIMARY KEY,
    name text NOT NULL,
    province text,
    city text,
    county text,
    town text
);
CREATE TABLE village_piped (LIKE village_received INCLUDING ALL);
GRANT SELECT ON village_received TO civil_affairs_reader;

RESET ROLE;
CREATE SCHEMA sluice AUTHORIZATION civil_affairs_owner;
