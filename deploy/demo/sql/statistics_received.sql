-- A table of the statistics bureau's own that transfers fill, and what the gateway's writing role needs
-- for it (docs/transfer.md).
SET ROLE statistics_owner;

CREATE TABLE town_received (
    code text PRIMARY KEY,
    name text NOT NULL,
    province_code text NOT NULL,
    city_code text NOT NULL,
    county_code text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE town_received IS '接收自民政的乡级行政区划';
GRANT SELECT ON town_received TO statistics_reader;
GRANT SELECT, INSERT, DELETE ON town_received TO statistics_writer;

RESET ROLE;
CREATE SCHEMA sluice AUTHORIZATION statistics_writer;
