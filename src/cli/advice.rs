//! What to say to somebody who typed an option or a command that there is not: clap finds what is spelled nearly alike,
//! and here is what means nearly the same, in the words of other programs.

use clap::CommandFactory;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::program::Cli;

/// Options of other programs, and what does their work here.
const OPTIONS: [(&[&str], &str); 34] = [
    (
        &[
            "--dry-run",
            "--dryrun",
            "-n",
            "--what-if",
            "--whatif",
            "--check",
            "--simulate",
            "--noop",
            "--preview",
            "--plan",
        ],
        "'tagfleet plan INPUT.csv' says what apply would do and changes nothing; --sandbox rehearses it, and --plan-only \
         shows what tags rename and tags remove would do",
    ),
    (
        &["--diff", "--verify"],
        "'tagfleet plan INPUT.csv' says what would change, 'tagfleet verify INPUT.csv' what holds",
    ),
    (
        &[
            "--force",
            "-f",
            "-y",
            "--assume-yes",
            "--no-confirm",
            "--non-interactive",
            "--noninteractive",
            "--batch-mode",
        ],
        "--yes applies without asking; no option overrides a check",
    ),
    (&["--auto-approve", "--approve", "--confirm"], "--yes applies without asking"),
    (
        &["--output", "-o", "--out", "--outfile", "--output-file", "--results", "--result-file"],
        "apply, resume, results, undo, verify and inventory write their rows to -o FILE; the others print on standard output",
    ),
    (&["--format", "--output-format", "--jsonl"], "--json prints a summary for machines; rows are always CSV"),
    (
        &["--threads", "--thread", "--parallel", "--parallelism", "--workers", "-j", "--max-concurrency"],
        "--concurrency N sets how many calls are in flight at the most; how fast they leave is a matter of --quota",
    ),
    (
        &["--rate", "--rate-limit", "--ratelimit", "--throttle", "--rps", "--rpm", "--delay", "--sleep", "--pause"],
        "--quota 100/1m,1500/1h sets how many calls leave, --quota-share PERCENT how much of that is used",
    ),
    (
        &["--retry", "--retries", "--max-retries", "--retry-count", "--attempts"],
        "calls are repeated as often as makes sense; --max-outage sets how long a service in trouble is waited for",
    ),
    (
        &["--timeout", "--time-out", "--max-time", "--until", "--stop-at"],
        "--deadline DURATION|HH:MM ends a run, --max-outage an outage, --lock-wait the wait for another run",
    ),
    (
        &["--batch", "--batch-size", "--chunk-size", "--chunk", "--page-size", "--bulk"],
        "calls hold as many machines as the service takes; --no-bulk makes one call per operation",
    ),
    (
        &["--token", "--access-token", "--bearer", "--bearer-token", "--api-key"],
        "no secret is ever an argument: set TAGFLEET_TOKEN, or name a file with --token-file",
    ),
    (
        &["--client-secret", "--secret", "--password", "-p", "--app-secret"],
        "no secret is ever an argument: set AZURE_CLIENT_SECRET, or name a file with --client-secret-file",
    ),
    (
        &["--ping-url", "--ping", "--healthcheck", "--healthchecks", "--healthchecks-url", "--heartbeat-url"],
        "no secret is ever an argument: set TAGFLEET_PING_URL, or name a file with --ping-url-file",
    ),
    (
        &["--metrics", "--prometheus", "--prom-file", "--textfile", "--metrics-port", "--pushgateway"],
        "--metrics-file FILE.prom writes them for the textfile collector of Prometheus' node exporter",
    ),
    (&["--client-id", "--app-id", "--application-id"], "set AZURE_CLIENT_ID"),
    (&["--tenant", "--tenant-id", "--directory-id"], "set AZURE_TENANT_ID"),
    (&["--certificate", "--cert", "--client-certificate"], "set AZURE_CLIENT_CERTIFICATE_PATH"),
    (
        &[
            "--insecure",
            "-k",
            "--no-verify",
            "--skip-verify",
            "--no-verify-ssl",
            "--no-check-certificate",
            "--verify-ssl",
        ],
        "certificates are always checked; --ca-file FILE names a further root to trust",
    ),
    (&["--ca", "--cacert", "--ca-cert", "--ca-bundle", "--capath"], "--ca-file FILE names a further root to trust"),
    (&["--proxy", "-x", "--http-proxy", "--https-proxy"], "set HTTPS_PROXY, and NO_PROXY for hosts that need none"),
    (
        &["--region", "--geo", "--environment", "--url", "--endpoint", "--api-url", "--host", "--server"],
        "--cloud NAME chooses host, sign-in and scope together, --base-url URL another host",
    ),
    (&["--input", "-i", "--file", "--csv", "--in"], "the file is an argument of its own: tagfleet apply INPUT.csv"),
    (&["--delimiter", "-d", "--separator", "--sep"], "the delimiter is found by looking: comma, semicolon, tab or |"),
    (&["--charset", "--codepage"], "--encoding LABEL says how a file without a byte order mark is encoded"),
    (
        &[
            "--skip-errors",
            "--ignore-errors",
            "--continue-on-error",
            "--keep-going",
            "--skip-bad-rows",
            "--ignore-invalid",
        ],
        "--skip-invalid runs the valid rows of a file, --max-errors sets how many may fail, --skip-missing-machines tolerates \
         machines that are gone",
    ),
    (
        &[
            "--skip-missing",
            "--ignore-missing",
            "--missing-ok",
            "--allow-missing",
            "--ignore-not-found",
            "--skip-unknown",
        ],
        "--skip-missing-machines tolerates rows whose machine is gone",
    ),
    (&["--strict", "--fail-on-missing"], "--unlisted fail sends nothing to machines that the tenant's list lacks"),
    (&["--ignore-empty", "--no-fail-on-empty", "--empty-ok"], "--allow-empty takes a file without rows for done"),
    (&["--continue", "--resume", "--retry-failed"], "'tagfleet resume' resumes a run; apply does so by itself"),
    (
        &["--restart", "--no-resume", "--no-join", "--new"],
        "--fresh starts a new run where an unfinished one could be resumed",
    ),
    (&["--undo", "--rollback", "--revert"], "'tagfleet undo RUN' takes back what a run changed"),
    (
        &["--tag", "--add-tag", "--remove-tag", "--value", "--device-value", "--action", "--machine", "--machine-id"],
        "what is to change stands in the file, in the columns machineId, tag, action and value",
    ),
    (
        &["--silent", "-s", "--debug", "--trace", "--log-level", "--loglevel", "--verbosity"],
        "-q says only what needs attention, -v and -vv log more, --log-file FILE takes the log",
    ),
];

/// Commands of other programs, and what does their work here.
const COMMANDS: [(&[&str], &str); 13] = [
    (
        &[
            "run", "tag", "retag", "set", "add", "remove", "exec", "execute", "start", "push", "sync", "update",
            "import",
        ],
        "'tagfleet apply INPUT.csv' makes the tenant match the file",
    ),
    (
        &["rename", "untag", "tag-list", "list-tags"],
        "'tagfleet tags' lists the tenant's tags, and renames or removes one",
    ),
    (
        &["dry-run", "dryrun", "preview", "diff", "simulate", "validate", "lint", "what-if", "estimate"],
        "'tagfleet plan INPUT.csv' says what apply would do and changes nothing",
    ),
    (
        &["test", "audit", "compare"],
        "'tagfleet verify INPUT.csv' says which rows hold, 'tagfleet plan' what would change",
    ),
    (&["rollback", "revert", "restore", "back"], "'tagfleet undo RUN' takes back what a run changed"),
    (&["continue", "retry", "restart", "go-on"], "'tagfleet resume' resumes an unfinished run"),
    (
        &["list", "ls", "history", "status", "log", "logs", "jobs", "ps", "show"],
        "'tagfleet runs' lists the runs, 'tagfleet runs RUN' shows one",
    ),
    (&["output", "result"], "'tagfleet results RUN' writes a run's results again"),
    (
        &["export", "machines", "machine", "devices", "device", "dump", "get"],
        "'tagfleet inventory -o MACHINES.csv' exports the tenant's machines with their tags",
    ),
    (
        &["demo", "mock", "serve", "server", "simulator", "emulator", "fake"],
        "'tagfleet sandbox' serves the simulated API, and apply --sandbox rehearses against it",
    ),
    (
        &["login", "auth", "signin", "sign-in"],
        "sign-in settings come from the environment, as those of Azure's own tools; see --auth in 'tagfleet apply --help'",
    ),
    (
        &["configure", "settings", "profile", "profiles", "init"],
        "'tagfleet config' shows each setting and where it is from; 'tagfleet help profiles' describes the file",
    ),
    (&["version"], "'tagfleet --version' prints it"),
];

/// The error with the nearest thing that there is.
pub(super) fn advised(mut error: clap::Error) -> clap::Error {
    let (kind, table) = match error.kind() {
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, &OPTIONS[..]),
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, &COMMANDS[..]),
        _ => return error,
    };
    let Some(ContextValue::String(typed)) = error.get(kind) else { return error };
    let typed = typed.split('=').next().unwrap_or_default().to_owned();
    let is_command = kind == ContextKind::InvalidSubcommand;
    let is_of_tags =
        is_command && error.get(ContextKind::Usage).is_some_and(|usage| usage.to_string().contains(" tags "));
    let meant =
        table.iter().filter(|_| !is_of_tags).find(|(names, _)| names.contains(&typed.to_ascii_lowercase().as_str()));
    let is_spelled_alike = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand]
        .into_iter()
        .any(|suggested| error.get(suggested).is_some());
    let advice = match meant {
        Some((_, advice)) => (*advice).to_owned(),
        None if is_of_tags && !is_spelled_alike => {
            "'tagfleet tags' lists them, its rename and remove change one".to_owned()
        }
        None if is_command && looks_like_file(&typed) => {
            format!("'tagfleet apply {typed}' makes the tenant match the file")
        }
        None if !is_command && !typed.starts_with('-') => {
            "each command takes one at a time; run it once for each".to_owned()
        }
        // What is spelled alike is known only after what is spelled just so, for another command.
        None => match commands_with(&typed).filter(|_| !is_command) {
            Some(_) if typed == "--sandbox" && is_about_a_run(&error) => {
                "'--sandbox' is not needed: the name of the run says that it is a rehearsal".to_owned()
            }
            Some(commands) => format!("'{typed}' is an option of {commands}"),
            None if is_spelled_alike => return error,
            None => "--help lists what there is".to_owned(),
        },
    };
    for other in [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand] {
        let _replaced = error.remove(other);
    }
    with_advice(error, advice)
}

/// Whether the command was given the name of a run, which tells a rehearsal from others.
fn is_about_a_run(error: &clap::Error) -> bool {
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    ["tagfleet results", "tagfleet report", "tagfleet undo"].iter().any(|command| usage.contains(command))
}

fn with_advice(mut error: clap::Error, advice: String) -> clap::Error {
    let _replaced = error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(advice)]));
    error
}

fn looks_like_file(typed: &str) -> bool {
    typed == "-" || typed.contains(['/', '\\']) || std::path::Path::new(typed).extension().is_some()
}

/// The commands that have this option, in words.
fn commands_with(option: &str) -> Option<String> {
    let long = option.strip_prefix("--");
    let short = option.strip_prefix('-').filter(|_| long.is_none()).and_then(|rest| rest.chars().next());
    let command = Cli::command();
    let has = |command: &clap::Command| {
        command.get_arguments().any(|known| {
            (long.is_some() && known.get_long() == long) || (short.is_some() && known.get_short() == short)
        })
    };
    // One of them takes the options of the others, to show what becomes of them.
    let outer = command
        .get_subcommands()
        .filter(|outer| has(outer) && outer.get_name() != "config")
        .map(|outer| outer.get_name().to_owned());
    let inner = command.get_subcommands().flat_map(|outer| {
        let inner = outer.get_subcommands().filter(|inner| has(inner));
        inner.map(|inner| format!("{} {}", outer.get_name(), inner.get_name()))
    });
    let names: Vec<String> = outer.chain(inner).collect();
    match names.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        [rest @ .., last] => Some(format!("{} and {last}", rest.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// What is said about this command line.
    fn said(line: &str) -> String {
        let arguments = std::iter::once("tagfleet").chain(line.split(' '));
        advised(Cli::try_parse_from(arguments).expect_err("there is no such thing")).to_string()
    }

    #[test]
    fn what_means_nearly_the_same_is_named() {
        let table = [
            ("apply x.csv --dry-run", "'tagfleet plan INPUT.csv' says"),
            ("apply x.csv -n", "--sandbox rehearses it"),
            ("apply x.csv --force", "--yes applies"),
            ("plan x.csv --output y.csv", "the others print on standard output"),
            ("apply x.csv --threads 8", "--concurrency N"),
            ("apply x.csv --threads=8", "--concurrency N"),
            ("apply x.csv --client-secret hunter2", "AZURE_CLIENT_SECRET"),
            ("apply x.csv --insecure", "--ca-file FILE"),
            ("apply x.csv --max-change 3", "'--max-changes'"),
            ("apply x.csv --conccurency 3", "'--concurrency'"),
            (
                "plan x.csv --deadline 06:00",
                "'--deadline' is an option of apply, resume, undo, tags rename and tags remove",
            ),
            ("plan x.csv --yes", "'--yes' is an option of apply, resume, undo, tags rename and tags remove"),
            ("apply x.csv --frobnicate", "tip: --help lists what there is"),
            ("apply x.csv y.csv", "run it once for each"),
            ("run x.csv", "'tagfleet apply INPUT.csv'"),
            ("dry-run x.csv", "'tagfleet plan INPUT.csv'"),
            ("rollback", "'tagfleet undo RUN'"),
            ("machines", "'tagfleet inventory -o MACHINES.csv'"),
            ("aply x.csv", "'apply'"),
            ("tags list", "'tagfleet tags' lists them"),
            ("tags renam", "'rename'"),
            ("tags remove x --dry-run", "--plan-only"),
            ("retag.csv", "'tagfleet apply retag.csv'"),
            ("frobnicate", "tip: --help lists what there is"),
        ];
        for (line, advice) in table {
            let said = said(line);
            assert!(said.contains("tip: ") && said.contains(advice), "{line}: {said}");
            assert_eq!(said.matches("tip: ").count(), 1, "{line}: {said}");
            assert!(!said.contains("hunter2"), "{line}: {said}");
        }
    }

    #[test]
    fn nothing_that_there_is_is_taken_for_a_word_of_others_and_every_advice_names_what_there_is() {
        let command = Cli::command();
        let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        let mut longs: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
        let inner = command.get_subcommands().flat_map(clap::Command::get_subcommands);
        let commands = command.get_subcommands().chain(inner);
        longs.extend(commands.flat_map(clap::Command::get_arguments).filter_map(clap::Arg::get_long));
        for (words, advice) in OPTIONS.iter().chain(&COMMANDS) {
            for word in *words {
                assert!(!names.contains(word), "{word} is a command");
                let is_ours = word.strip_prefix("--").is_some_and(|long| longs.contains(&long));
                assert!(!is_ours || *word == "--output" || *word == "--machine", "{word} is an option");
            }
            for option in advice.split([' ', ',', ';', ':', '\'']).filter_map(|word| word.strip_prefix("--")) {
                assert!(longs.contains(&option) || ["help", "version"].contains(&option), "there is no --{option}");
            }
            for typed in advice.split("tagfleet ").skip(1) {
                let word = typed.split([' ', '\'']).next().unwrap_or_default();
                assert!(names.contains(&word) || word.starts_with("--"), "there is no command {word}");
            }
        }
    }
}
