-- Worked example 3 of docs/authoring.md: a messy table. Every company here is invented; the credit codes
-- are made up with correct check characters. Column names have blanks, a quote, $ and Chinese; dates have
-- six spellings; amounts mix 元 and 万元; "nothing" is written in six ways; the division code is split over
-- three columns; some companies reported twice.
CREATE TABLE "2023 年报 $" (
    "信用 代码" text,
    "企业 名称" text,
    "法人""代表" text,
    "成立 日期" text,
    "注册资本" text,
    "省" text,
    "市" text,
    "县" text,
    "类型" text,
    "联系 电话" text,
    "备注" text,
    "填报 时间" timestamptz
);
COMMENT ON TABLE "2023 年报 $" IS '企业年报（示例，均为虚构）';

-- GB 32100: 17 characters and a check character modulo 31 with weights 3^(i-1) mod 31; characters 9 to 17 are an organisation code of
-- GB 11714 with a check character of its own.
CREATE FUNCTION pg_temp.credit_code(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    letters constant text := '0123456789ABCDEFGHJKLMNPQRTUWXY';
    org text := 'MA' || lpad(upper(to_hex(n * 7919)), 6, '0');
    org_weights constant int[] := ARRAY[3, 7, 9, 10, 5, 8, 4, 2];
    total int := 0;
    weight int := 1;
    rest int;
    code text;
BEGIN
    FOR i IN 1..8 LOOP
        total := total + org_weights[i] * (strpos('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ', substr(org, i, 1)) - 1);
    END LOOP;
    rest := 11 - total % 11;
    org := org || CASE rest WHEN 10 THEN 'X' WHEN 11 THEN '0' ELSE rest::text END;
    code := '91110105' || org;
    total := 0;
    FOR i IN 1..17 LOOP
        total := total + weight * (strpos(letters, substr(code, i, 1)) - 1);
        weight := weight * 3 % 31;
    END LOOP;
    rest := (31 - total % 31) % 31;
    RETURN code || substr(letters, rest + 1, 1);
END $$;

INSERT INTO "2023 年报 $"
SELECT CASE WHEN n % 9 = 0 THEN lower(code) WHEN n % 11 = 0 THEN ' ' || code WHEN n = 50 THEN left(code, 17) || '?' ELSE code END,
       '示例' || chr(19968 + n * 3) || chr(20100 + n * 7) || '有限公司',
       CASE WHEN n % 13 = 0 THEN '-' ELSE (ARRAY['张三', '李四', '王五'])[1 + n % 3] END,
       CASE n % 7
           WHEN 0 THEN to_char(founded, 'YYYY-MM-DD')
           WHEN 1 THEN to_char(founded, 'YYYYMMDD')
           WHEN 2 THEN to_char(founded, 'YYYY"年"FMMM"月"FMDD"日"')
           WHEN 3 THEN to_char(founded, 'YYYY/FMMM/FMDD')
           WHEN 4 THEN to_char(founded, 'YYYY.MM.DD')
           WHEN 5 THEN CASE WHEN n % 5 = 0 THEN to_char(founded, 'YY.MM') ELSE to_char(founded, 'YYYY-MM-DD') END
           ELSE (ARRAY['NA', '-', '无', ''])[1 + n % 4] END,
       CASE n % 5
           WHEN 0 THEN (n * 10) || '万元'
           WHEN 1 THEN (n * 100000) || '元'
           WHEN 2 THEN (n * 12.5) || '万'
           WHEN 3 THEN (n * 50000) || '.00'
           ELSE CASE WHEN n % 4 = 0 THEN '无' ELSE '￥' || n * 30000 END END,
       '11', '01', lpad((1 + n % 9)::text, 2, '0'),
       (ARRAY['内资', '外资', '个体'])[1 + n % 3],
       CASE WHEN n % 4 = 0 THEN '\N' ELSE '139' || lpad((n * 7654321 % 100000000)::text, 8, '0') END,
       CASE WHEN n % 6 = 0 THEN '空' ELSE '' END,
       timestamptz '2024-03-01 00:00:00+08' + n * interval '3 hours'
FROM (SELECT n, pg_temp.credit_code(n) AS code, date '2001-02-03' + n * 97 AS founded
      FROM generate_series(1, 80) AS n) AS companies;
-- Three of them reported again, a month later, with another telephone.
INSERT INTO "2023 年报 $"
SELECT "信用 代码", "企业 名称", "法人""代表", "成立 日期", "注册资本", "省", "市", "县", "类型", '13800138000', '更正',
       "填报 时间" + interval '30 days'
FROM "2023 年报 $" WHERE "企业 名称" IN (SELECT "企业 名称" FROM "2023 年报 $" ORDER BY "填报 时间" LIMIT 3);
