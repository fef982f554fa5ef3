//! How many calls a second the program makes when no quota holds it back, with every outcome durable, and how much
//! memory it takes as rows grow: `cargo bench --bench throughput`.
//!
//! The service is the sandbox in a process of its own, so both share the machine's cores. Figures are for comparison
//! within one run; the machine's disk decides most, since every intent and every outcome is synchronised.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program that is measured.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tagfleet");
/// Rows of each round; the last is ten times the second, for the growth of memory.
const ROUNDS: [u32; 3] = [1_000, 10_000, 100_000];
/// How often the memory of the program is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

struct Sandbox {
    process: Child,
    environment: Vec<(String, String)>,
}

impl Sandbox {
    fn start() -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(PROGRAM)
            .args(["sandbox", "--quota", "off", "--any-machine", "--machines", "1"])
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
    seconds: f64,
    peak_mebibytes: Option<f64>,
}

fn write_input(path: &Path, rows: u32) -> Result<(), Box<dyn Error>> {
    let mut text = String::from("machineId,tag,action,value\n");
    for row in 0..rows {
        writeln!(text, "{:040x},Tier 0,Add,", u64::from(row) * 0x9E37_79B9_7F4A_7C15)?;
    }
    fs::write(path, text)?;
    Ok(())
}

fn run(sandbox: &Sandbox, directory: &Path, rows: u32) -> Result<Round, Box<dyn Error>> {
    let input = directory.join(format!("{rows}.csv"));
    write_input(&input, rows)?;
    let start = Instant::now();
    let mut process = Command::new(PROGRAM)
        .args(["apply", "--yes", "--quota", "off", "--json"])
        .arg(&input)
        .envs(sandbox.environment.iter().map(|(name, value)| (name, value)))
        .env("TAGFLEET_STATE_DIR", directory.join("state"))
        .stdout(Stdio::null())
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
    Ok(Round { seconds, peak_mebibytes })
}

/// The most memory that the process ever held, where the system tells it.
fn peak_memory(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let sandbox = Sandbox::start()?;
    let mut output = std::io::stdout().lock();
    writeln!(output, "    rows   seconds   calls/s   peak MiB")?;
    for rows in ROUNDS {
        let round = run(&sandbox, directory.path(), rows)?;
        let peak = round.peak_mebibytes.map_or_else(|| "?".to_owned(), |peak| format!("{peak:.1}"));
        writeln!(output, "{rows:>8} {:>9.2} {:>9.0} {peak:>10}", round.seconds, f64::from(rows) / round.seconds)?;
    }
    Ok(())
}
