// A consumer written with @grpc/grpc-js. Reads its orders from the environment, prints one JSON object.
//   node client.js lookup DATASET KEY | query DATASET FILTER | denied DATASET KEY
const fs = require('fs')
const path = require('path')
const grpc = require('@grpc/grpc-js')
const loader = require('@grpc/proto-loader')

const repo = path.resolve(__dirname, '../../..')
const definition = loader.loadSync('sluice/v1/exchange.proto', {
    includeDirs: [path.join(repo, 'proto'), '/usr/include'], keepCase: true, longs: String, enums: String,
})
const { ExchangeService } = grpc.loadPackageDefinition(definition).sluice.v1
const read = name => fs.readFileSync(process.env[name])
const client = new ExchangeService(process.env.SLUICE_TARGET,
    grpc.credentials.createSsl(read('SLUICE_CA'), read('SLUICE_KEY'), read('SLUICE_CERT')),
    { 'grpc.enable_http_proxy': 0 })
const deadline = () => new Date(Date.now() + 20000)

// Ends the process: an open channel would keep it alive.
function finish(answer) {
    console.log(JSON.stringify(answer))
    client.close()
}

const [verb, dataset, argument] = process.argv.slice(2)
const purpose = verb === 'denied' ? 'marketing' : 'medical-triage'
if (verb === 'query') {
    let records = 0, bytes = 0, totals = null
    const stream = client.Query({ dataset, filter: argument, purpose }, { deadline: deadline() })
    stream.on('data', batch => {
        records += batch.records.length
        for (const record of batch.records) bytes += record.length
        totals = batch.totals || totals
    })
    stream.on('error', error => finish({ code: error.code, text: error.details }))
    stream.on('end', () => finish({ records, bytes, totals }))
} else {
    client.Lookup({ dataset, key: argument, purpose }, { deadline: deadline() }, (error, answer) => {
        if (error) return finish({ code: error.code, text: error.details, trailers: Object.keys(error.metadata.getMap()) })
        finish({ type: answer.record.type_url, bytes: answer.record.value.length, exchange: answer.exchange_id })
    })
}
