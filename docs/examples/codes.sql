-- Worked example 2 of docs/authoring.md: codes and dates. Every person here is invented; the citizen
-- numbers are made up with a correct check character.
CREATE TABLE hk_resident (
    id bigint PRIMARY KEY,
    sfzh varchar(18) NOT NULL UNIQUE,
    xm text NOT NULL,
    xb text,
    mz text,
    csrq text,
    hyzk text,
    xzqh text,
    lxdh text,
    gxsj timestamp
);
COMMENT ON TABLE hk_resident IS '常住人口（示例，均为虚构）';
COMMENT ON COLUMN hk_resident.sfzh IS '公民身份号码';
COMMENT ON COLUMN hk_resident.xm IS '姓名';
COMMENT ON COLUMN hk_resident.xb IS '性别';
COMMENT ON COLUMN hk_resident.mz IS '民族';
COMMENT ON COLUMN hk_resident.csrq IS '出生日期';
COMMENT ON COLUMN hk_resident.hyzk IS '婚姻状况：1 未婚 2 已婚 3 丧偶 4 离婚';
COMMENT ON COLUMN hk_resident.xzqh IS '行政区划代码';
COMMENT ON COLUMN hk_resident.lxdh IS '联系电话';

-- Sixty invented residents. The check character follows GB 11643: weights 2^(18-i) mod 11.
INSERT INTO hk_resident
SELECT n, body || substr('10X98765432', 1 + check_sum % 11, 1),
       (ARRAY['张三', '李四', '王五', '赵六', '孙七'])[1 + n % 5] || chr(19968 + n),
       CASE WHEN n % 2 = 1 THEN '男' ELSE '女' END,
       (ARRAY['汉族', '满族', '回', '蒙古族', '壮族'])[1 + n % 5],
       -- Two clerks, two spellings; one date nobody can read.
       CASE WHEN n = 17 THEN '80/3/5'
            WHEN n % 3 = 0 THEN to_char(born, 'YYYY-MM-DD') ELSE to_char(born, 'YYYYMMDD') END,
       (ARRAY['1', '2', '3', '4'])[1 + n % 4],
       '110105',
       CASE WHEN n % 10 = 0 THEN '无' ELSE '138' || lpad((n * 1234567 % 100000000)::text, 8, '0') END,
       timestamp '2026-01-01 08:00:00' + n * interval '1 hour'
FROM (
    SELECT n, born, body,
           (SELECT sum(substr(body, i, 1)::int * (2 ^ (18 - i))::int)
            FROM generate_series(1, 17) AS i)::int AS check_sum
    FROM (
        SELECT n, born, '110105' || to_char(born, 'YYYYMMDD') || lpad((n * 7 % 1000)::text, 3, '0') AS body
        FROM (SELECT n, date '1950-01-01' + n * 311 AS born FROM generate_series(1, 60) AS n) AS people
    ) AS bodies
) AS numbered;
-- A typing error: the check character is wrong.
UPDATE hk_resident SET sfzh = left(sfzh, 17) || CASE WHEN right(sfzh, 1) = '1' THEN '2' ELSE '1' END WHERE id = 23;
