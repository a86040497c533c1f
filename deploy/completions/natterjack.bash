# bash completion for natterjack
_natterjack() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $before in
        # flags: made by make docs from src/config.rs
        --redis-ca | --tls-cert | --tls-key | --jwt-key)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            ;;
        --log)
            mapfile -t COMPREPLY < <(compgen -W 'error warn info debug trace' -- "$word")
            ;;
        --listen | --redis | --redis-auth-command | --prefix | --data | --history | --max-history | --keep-names | --origin | --embed | --host | --max-message | --rate | --outbox | --max-queued | --max-peers | --max-peers-per-ip | --trust-proxy | --ping | --notices | --threads | --jwt-audience | --jwt-issuer | --jwt-name | --issue | --days | --rooms | --metrics)
            :
            ;;
        *)
            mapfile -t COMPREPLY < <(compgen -W '--listen --redis --redis-ca --redis-auth-command --prefix --data --history --max-history --keep-names --origin --embed --host --max-message --rate --outbox --max-queued --max-peers --max-peers-per-ip --trust-proxy --ping --notices --threads --tls-cert --tls-key --jwt-key --jwt-audience --jwt-issuer --jwt-name --guests --issue --days --rooms --mod --metrics --log --check --probe --version --help' -- "$word")
            ;;
        # flags: end
    esac
}
complete -F _natterjack natterjack
