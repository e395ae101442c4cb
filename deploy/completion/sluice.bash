# bash completion for sluice; written by `sluice completion bash`.
_sluice() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  local first="" second="" word subcommands="" options=""
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] && continue
    if [[ -z $first ]]; then first=$word; elif [[ -z $second ]]; then second=$word; fi
  done
  case $previous in
    --endpoint) return ;;
    --ca) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --cert) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --key) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --format) COMPREPLY=($(compgen -W "table json jsonl csv" -- "$current")); return ;;
    --timeout) return ;;
    --lang) COMPREPLY=($(compgen -W "en zh" -- "$current")); return ;;
    --purpose) return ;;
    --agreement) return ;;
    --fields) return ;;
    --filter) return ;;
    --limit) return ;;
    --page-size) return ;;
    --resume) return ;;
    --consumer) return ;;
    --dataset) return ;;
    --purposes) return ;;
    --modes) COMPREPLY=($(compgen -W "lookup query verify transfer lookup,query" -- "$current")); return ;;
    --row-filter) return ;;
    --valid-from) return ;;
    --valid-until) return ;;
    --days) return ;;
    --rate) return ;;
    --burst) return ;;
    --daily-quota) return ;;
    --masks) return ;;
    --networks) return ;;
    --windows) return ;;
    --onward) return ;;
    --legal-basis) return ;;
    --id) return ;;
    --reason) return ;;
    --lines) return ;;
    --descriptors) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --database) return ;;
    --migrations) COMPREPLY=($(compgen -d -- "$current")); return ;;
    --title) return ;;
    --title-zh) return ;;
    --roles) COMPREPLY=($(compgen -W "requester approver auditor administrator" -- "$current")); return ;;
    --table) return ;;
    --department) return ;;
    --type) return ;;
    --source) return ;;
    --sample) return ;;
    --out) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --against) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --record) return ;;
    --role) return ;;
    --rows-per-second) return ;;
    --runs) return ;;
    --code) return ;;
    --field) return ;;
    --state) COMPREPLY=($(compgen -W "open vanished changed mended" -- "$current")); return ;;
    --policy) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --older) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --checkpoint) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --from) return ;;
    --to) return ;;
    --origin) return ;;
    --sm2-key) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --new-sm2-key) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --leaf) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --timestamp) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --timestamp-ca) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --url) return ;;
    --kind) COMPREPLY=($(compgen -W "decision delivery admin policy-change key-event officer-query review recovery denials quota" -- "$current")); return ;;
    --decision) COMPREPLY=($(compgen -W "allowed refused failed cancelled" -- "$current")); return ;;
    --owner) return ;;
    --subject) return ;;
    --exchange) return ;;
    --person) return ;;
    --index) return ;;
    --archive) COMPREPLY=($(compgen -d -- "$current")); return ;;
    --by) COMPREPLY=($(compgen -W "day department owner dataset kind decision" -- "$current")); return ;;
    --scenario) return ;;
    --scope) return ;;
    --working-days) return ;;
    --negotiation) return ;;
    --filing) return ;;
    --certificate) return ;;
    --in-state) COMPREPLY=($(compgen -W "draft signed-off submitted supplement-asked extended agreed refused provisioning active expired suspended terminated disposal-due disposed" -- "$current")); return ;;
    --authority) return ;;
    --answer-days) return ;;
    --extension-days) return ;;
    --provide-days) return ;;
    --clock) COMPREPLY=($(compgen -W "received completed" -- "$current")); return ;;
    --cursor) return ;;
    --secrecy) return ;;
    --impact) return ;;
    --entry-state) COMPREPLY=($(compgen -W "draft assessed dept-approved submitted published change-due retired" -- "$current")); return ;;
  esac
  if [[ -z $first && $current != -* ]]; then
    COMPREPLY=($(compgen -W "catalog lookup query verify transfer agreement application calendar audit quality schema config doctor control department officer version completion" -- "$current")); return
  fi
  case $first in
    catalog) subcommands="list show drift entries entry overlaps import export assess approve submit publish return change extend consent retire" ;;
    transfer) subcommands="create list show watch pause resume cancel verify" ;;
    agreement) subcommands="grant list show explain revoke" ;;
    application) subcommands="request sign-off submit supplement answer extend consent decide provision activate suspend resume terminate dispose confirm-disposal list show due scorecard policy" ;;
    calendar) subcommands="check load list" ;;
    audit) subcommands="tail search filter statistics opening erasure hold checkpoint export verify archive restore evidence timestamp policy rotate announce" ;;
    quality) subcommands="assess report compare quarantine view replay" ;;
    schema) subcommands="check infer preview diff grants docs lossiness publish approve status" ;;
    config) subcommands="check" ;;
    control) subcommands="init migrate" ;;
    department) subcommands="add list" ;;
    officer) subcommands="add list disable" ;;
    completion) subcommands="bash zsh" ;;
  esac
  if [[ -n $subcommands && -z $second && $current != -* ]]; then
    COMPREPLY=($(compgen -W "$subcommands" -- "$current")); return
  fi
  case "$first $second" in
    "catalog list") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog show") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog drift") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog entries") options=" --entry-state --department --overdue --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog entry") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog overlaps") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog import") options=" --dry-run --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog export") options=" --department --entry-state --bom --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog assess") options=" --secrecy --impact --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog approve") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog submit") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog publish") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog return") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog change") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog extend") options=" --working-days --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog consent") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "catalog retire") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "lookup "*) options=" --purpose --agreement --fields --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "query "*) options=" --purpose --filter --fields --limit --page-size --agreement --resume --strict --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "verify "*) options=" --purpose --agreement --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "transfer create") options=" --purpose --agreement --filter --fields --append --upsert --cursor --accept-lossy --rows-per-second --follow --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "transfer list") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "transfer show") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "transfer watch") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "transfer pause") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "transfer resume") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "transfer cancel") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "transfer verify") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "agreement grant") options=" --consumer --dataset --fields --purposes --modes --row-filter --valid-from --valid-until --days --rate --burst --daily-quota --masks --networks --windows --onward --legal-basis --id --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "agreement list") options=" --dataset --consumer --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "agreement show") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "agreement explain") options=" --consumer --purpose --modes --agreement --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "agreement revoke") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application request") options=" --consumer --dataset --fields --purposes --modes --legal-basis --scenario --scope --valid-from --valid-until --days --row-filter --rate --burst --daily-quota --masks --networks --windows --onward --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application sign-off") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application submit") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application supplement") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application answer") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application extend") options=" --working-days --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application consent") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application decide") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application provision") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application activate") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application suspend") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application resume") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application terminate") options=" --reason --negotiation --filing --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application dispose") options=" --working-days --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application confirm-disposal") options=" --certificate --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application list") options=" --dataset --in-state --overdue --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application show") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application due") options=" --working-days --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application scorecard") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "application policy") options=" --authority --answer-days --extension-days --provide-days --clock --database --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "calendar check") options=" --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "calendar load") options=" --database --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "calendar list") options=" --database --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit tail") options=" --lines --follow --dataset --agreement --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit search") options=" --dataset --agreement --purpose --kind --decision --department --owner --subject --from --to --exchange --person --filter --limit --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit filter") options=" --dataset --agreement --purpose --kind --decision --department --owner --subject --from --to --exchange --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit statistics") options=" --by --from --to --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit opening") options=" --reason --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit erasure") options=" --reason --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit hold") options=" --reason --index --from --to --department --dataset --agreement --exchange --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit checkpoint") options=" --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit export") options=" --database --checkpoint --from --to --follow --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit verify") options=" --policy --older --archive --leaf --timestamp --timestamp-ca --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit archive") options=" --policy --to --prune --database --checkpoint --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit restore") options=" --policy --archive --checkpoint --database --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit evidence") options=" --out --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit timestamp") options=" --url --timestamp-ca --out --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit policy") options=" --origin --sm2-key --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit rotate") options=" --origin --sm2-key --new-sm2-key --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "audit announce") options=" --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "quality assess") options=" --rows-per-second --strict --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "quality report") options=" --runs --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "quality compare") options=" --purpose --agreement --fields --limit --rows-per-second --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "quality quarantine") options=" --code --field --state --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "quality view") options=" --reason --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "quality replay") options=" --code --field --state --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "schema check") options=" --against --database --source --descriptors --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "schema infer") options=" --table --department --dataset --type --source --out --sample --show-samples --database --descriptors --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "schema preview") options=" --database --limit --sample --record --unmasked --descriptors --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "schema diff") options=" --fail-on-breaking --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "schema grants") options=" --role --database --descriptors --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "schema docs") options=" --out --descriptors --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "schema lossiness") options=" --descriptors --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "schema publish") options=" --descriptors --dry-run --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "schema approve") options=" --reason --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "schema status") options=" --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "config check") options=" --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "doctor "*) options=" --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "control init") options=" --database --migrations --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "control migrate") options=" --database --migrations --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "department add") options=" --title --title-zh --enable --database --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "department list") options=" --database --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "officer add") options=" --title --roles --enable --database --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "officer list") options=" --database --csv-raw --no-header --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "officer disable") options=" --database --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "version "*) options=" --endpoint --ca --cert --key --format --timeout --lang --help" ;;
    "completion "*) options=" --endpoint --ca --cert --key --format --timeout --lang --help" ;;
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _sluice sluice
