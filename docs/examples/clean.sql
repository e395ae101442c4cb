-- Worked example 1 of docs/authoring.md: a clean table. Three real county codes of GB/T 2260, nothing else.
CREATE TABLE county (
    code char(6) PRIMARY KEY,
    name text NOT NULL,
    province_code char(2) NOT NULL,
    city_code char(4) NOT NULL
);
COMMENT ON TABLE county IS '县级行政区划';
COMMENT ON COLUMN county.code IS '行政区划代码';
COMMENT ON COLUMN county.name IS '区划名称';
INSERT INTO county VALUES
    ('110101', '东城区', '11', '1101'),
    ('110102', '西城区', '11', '1101'),
    ('110105', '朝阳区', '11', '1101');
