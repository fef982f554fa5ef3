//! How many calls a second the program makes when no quota holds it back, with every outcome durable, and how much
//! memory it takes as rows grow; then a retagging as people run it, 100,000 rows over four tags of which half are so
//! already, from reading the tenant to the results, and its undo; at last a million rows that are stored and answered without a
//! call: `cargo bench --bench throughput`. Where `TAGFLEET_STATE` names a state that hosts share, it is that which is measured.
//!
//! The service is the sandbox in a process of its own, so both share the machine's cores. Figures are for comparison
//! within one run; the machine's disk decides most, since every intent and every outcome is synchronised.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program that is measured.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tagfleet");
/// Rows of each round; the last is ten times the second, for the growth of memory.
const ROUNDS: [u32; 3] = [1_000, 10_000, 100_000];
/// Machines of the retagging, and the tags that each of them gets.
const MACHINES: u32 = 25_000;
/// See [`MACHINES`].
const TAGS: [&str; 4] = ["Tier 0", "Tier 1", "Pilot", "Berlin"];
/// Machines of the rows that are only stored; each gets the same tags.
const STORED_MACHINES: u32 = 250_000;
/// How often the memory of the program is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

struct Sandbox {
    process: Child,
    environment: Vec<(String, String)>,
}

impl Sandbox {
    fn start(options: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(PROGRAM)
            .args(["sandbox", "--quota", "off"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = process.stdout.take().ok_or("the sandbox has no output")?;
        let mut environment = Vec::new();
        for line in BufReader::new(output).lines().take(5) {
            if let Some((name, value)) = line?.split_once('=') {
                environment.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(Self { process, environment })
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}

struct Round {
    /// The run that it was.
    run_id: String,
    seconds: f64,
    peak_mebibytes: Option<f64>,
}

fn machine(number: u32) -> String {
    format!("{:040x}", u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// A file that adds these tags to so many machines.
fn write_input(path: &Path, machines: u32, tags: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut text = String::from("machineId,tag,action,value\n");
    for tag in tags {
        for number in 0..machines {
            writeln!(text, "{},{tag},Add,", machine(number))?;
        }
    }
    fs::write(path, text)?;
    Ok(())
}

/// Applies a file.
fn run(sandbox: &Sandbox, directory: &Path, input: &Path, options: &[&str]) -> Result<Round, Box<dyn Error>> {
    measure(sandbox, directory, Command::new(PROGRAM).arg("apply").args(options).arg(input))
}

fn measure(sandbox: &Sandbox, directory: &Path, command: &mut Command) -> Result<Round, Box<dyn Error>> {
    let start = Instant::now();
    if std::env::var_os("TAGFLEET_STATE").is_none() {
        command.env("TAGFLEET_STATE_DIR", directory.join("state"));
    }
    let mut process = command
        .args(["--yes", "--quota", "off", "--json"])
        .envs(sandbox.environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut peak_mebibytes = None;
    let status = loop {
        peak_mebibytes = peak_memory(process.id()).or(peak_mebibytes);
        if let Some(status) = process.try_wait()? {
            break status;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let seconds = start.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("the program ended with {status}").into());
    }
    let outcome: serde_json::Value = serde_json::from_reader(process.stdout.take().ok_or("there is no output")?)?;
    let run_id =
        outcome.get("run_id").and_then(serde_json::Value::as_str).ok_or("the outcome names no run")?.to_owned();
    Ok(Round { run_id, seconds, peak_mebibytes })
}

/// The most memory that the process ever held, where the system tells it.
fn peak_memory(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024.0)
}

/// One call per row.
fn singles(directory: &Path, output: &mut impl std::io::Write) -> Result<(), Box<dyn Error>> {
    let sandbox = Sandbox::start(&["--any-machine", "--machines", "1"])?;
    writeln!(output, "    rows   seconds   calls/s   peak MiB")?;
    for rows in ROUNDS {
        let input = directory.join(format!("{rows}.csv"));
        write_input(&input, rows, &["Tier 0"])?;
        let round = run(&sandbox, directory, &input, &["--no-inventory", "--no-bulk"])?;
        let per_second = f64::from(rows) / round.seconds;
        writeln!(output, "{rows:>8} {:>9.2} {per_second:>9.0} {:>10}", round.seconds, round.peak())?;
    }
    Ok(())
}

/// A retagging of which half is already set, and its undo.
fn retagging(directory: &Path, output: &mut impl std::io::Write) -> Result<(), Box<dyn Error>> {
    let fleet = directory.join("fleet.csv");
    fs::write(&fleet, (0..MACHINES).map(|number| machine(number) + "\n").collect::<String>())?;
    let fleet = fleet.display().to_string();
    let sandbox = Sandbox::start(&["--machines-file", &fleet])?;
    let (half, whole) = (directory.join("half.csv"), directory.join("whole.csv"));
    write_input(&half, MACHINES, &TAGS[..2])?;
    write_input(&whole, MACHINES, &TAGS)?;
    run(&sandbox, &directory.join("before"), &half, &[])?;
    writeln!(output, "\nretagging   seconds   peak MiB")?;
    let round = run(&sandbox, directory, &whole, &[])?;
    let rows = MACHINES as usize * TAGS.len();
    writeln!(output, "{rows:>9} {:>9.2} {:>10}", round.seconds, round.peak())?;
    let results = directory.join("undone.csv");
    let undo = measure(&sandbox, directory, Command::new(PROGRAM).args(["undo", &round.run_id, "-o"]).arg(results))?;
    writeln!(output, "{:>9} {:>9.2} {:>10}", "its undo", undo.seconds, undo.peak())?;
    Ok(())
}

/// Rows that are stored and answered, and none is sent.
fn storing(directory: &Path, output: &mut impl std::io::Write) -> Result<(), Box<dyn Error>> {
    let sandbox = Sandbox::start(&["--any-machine", "--machines", "1"])?;
    let input = directory.join("stored.csv");
    write_input(&input, STORED_MACHINES, &TAGS)?;
    writeln!(output, "\n  storing   seconds   peak MiB")?;
    let round = run(&sandbox, directory, &input, &["--no-inventory", "--limit", "0"])?;
    let rows = STORED_MACHINES as usize * TAGS.len();
    writeln!(output, "{rows:>9} {:>9.2} {:>10}", round.seconds, round.peak())?;
    Ok(())
}

impl Round {
    fn peak(&self) -> String {
        self.peak_mebibytes.map_or_else(|| "?".to_owned(), |peak| format!("{peak:.1}"))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let mut output = std::io::stdout().lock();
    singles(directory.path(), &mut output)?;
    retagging(directory.path(), &mut output)?;
    storing(directory.path(), &mut output)
}
