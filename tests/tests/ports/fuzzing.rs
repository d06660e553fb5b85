//! Hostile peers that follow scripts: those that a fuzzer has found worth keeping, and many that are made of them at random.
//!
//! The fuzzer itself is in `messageport/fuzz`. Many more: `FUZZ_RUNS=1000000 cargo test -p tests --test ports fuzzing`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tests::hostile::Targets;
use tests::{Watchdog, in_own_process};

type Attack = fn(&Targets, &[u8]);

/// The scripts that are kept for a target.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let place = root.join("messageport/fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&place).unwrap();
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    found.sort();
    found
}

/// Numbers that look as if they were random.
struct Noise(u64);

impl Noise {
    fn below(&mut self, choices: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % choices
    }
}

/// A script that is much like one of those, and a little like another.
fn mutate(scripts: &[(PathBuf, Vec<u8>)], noise: &mut Noise) -> Vec<u8> {
    let mut script = scripts[noise.below(scripts.len())].1.clone();
    for _ in 0..=noise.below(6) {
        let at = noise.below(script.len() + 1);
        let byte = u8::try_from(noise.below(256)).unwrap();
        match noise.below(5) {
            0 => script.insert(at, byte),
            1 if at < script.len() => drop(script.remove(at)),
            2 => {
                let other = &scripts[noise.below(scripts.len())].1;
                let from = noise.below(other.len() + 1);
                script.splice(at..at, other[from..].iter().take(40).copied());
            }
            3 => {
                let until = at + noise.below(script.len() - at + 1);
                let again = script[at..until].to_vec();
                script.splice(at..at, again);
            }
            _ if at < script.len() => script[at] = byte,
            _ => script.push(byte),
        }
    }
    script.truncate(4_096);
    script
}

/// The most addresses that this process has ever had, in KiB: memory that is asked for and never touched counts too.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    let number = line.unwrap().split_whitespace().next();
    number.unwrap().parse().unwrap()
}

/// Replays what is kept, and then so many variations of it.
fn withstand(target: &str, attack: Attack) {
    let runs = std::env::var("FUZZ_RUNS").map_or(3_000, |text| text.parse().unwrap());
    let _watchdog = Watchdog::with_limit(Duration::from_secs(120 + runs / 100));
    let targets = Targets::new();
    let before = most_memory();
    let scripts = corpus(target);
    assert!(scripts.len() > 20, "{} scripts only", scripts.len());
    for (path, script) in &scripts {
        println!("{}", path.display());
        attack(&targets, script);
    }
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for run in 0..runs {
        let script = mutate(&scripts, &mut noise);
        // The test harness shows this if the run fails, and it can be kept then.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| attack(&targets, &script)))
            .is_err()
        {
            panic!("run {run}: {script:?}");
        }
    }
    let after = most_memory();
    println!(
        "{target}: {} scripts, {runs} variations, {before} KiB at most and then {after} KiB",
        scripts.len()
    );
    assert!(after < before + 131_072, "{before} KiB, then {after} KiB");
}

#[test]
fn no_script_at_the_door_of_a_port_does_harm() {
    in_own_process!({ withstand("door", Targets::attack_door) });
}

#[test]
fn no_script_of_a_client_does_harm_to_its_port() {
    in_own_process!({ withstand("port", Targets::attack_port) });
}

#[test]
fn no_script_of_a_port_does_harm_to_a_remote() {
    in_own_process!({ withstand("remote", Targets::attack_remote) });
}
