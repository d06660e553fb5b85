//! Many processes that want one name, some of which are killed while they try and some while they have it.

use messageport::{ClaimError, CreateError, Directory, LocalPort, RemotePort};

use crate::children::Child;
use crate::support::{Place, scaled, watchdog};

/// Processes that try to get a name whenever they are told to.
struct Race {
    place: Place,
    contenders: Vec<Child>,
}

/// How one round of trying went.
struct Round {
    /// Which contender has the name now.
    winner: Option<usize>,
    /// The process that was killed while all tried.
    killed: Option<u32>,
    /// The processes that losers were told have the name.
    owners: Vec<u32>,
}

impl Race {
    fn between(count: usize) -> Self {
        let place = Place::new();
        let contenders = (0..count).map(|_| start(&place)).collect();
        Self { place, contenders }
    }

    /// Has all of them try at once, this one first; it may be killed when so many of the others have been told.
    fn run(&mut self, first: usize, killed_after: Option<usize>) -> Round {
        let mut killed = None;
        for step in 0..self.contenders.len() {
            let number = (first + step) % self.contenders.len();
            self.contenders[number].tell("go");
            if killed_after == Some(step) {
                killed = Some((first, self.contenders[first].pid()));
                self.contenders[first].kill();
            }
        }
        let (mut winners, mut owners) = (Vec::new(), Vec::new());
        for (number, child) in self.contenders.iter_mut().enumerate() {
            if killed.is_some_and(|(victim, _)| victim == number) {
                continue;
            }
            match child.hear().as_str() {
                "won" => winners.push(number),
                "free again" => {}
                other => owners.push(other.strip_prefix("lost to ").unwrap().parse().unwrap()),
            }
        }
        assert!(winners.len() <= 1, "two owners: {winners:?}");
        if let Some((victim, _)) = killed {
            self.contenders[victim] = start(&self.place);
        }
        Round {
            winner: winners.first().copied(),
            killed: killed.map(|(_, pid)| pid),
            owners,
        }
    }

    /// Whoever has the name is reached by it, and nobody else: a live socket is never removed.
    fn expect_to_find(&self, owner: Option<u32>) {
        match (
            RemotePort::connect_in(&self.place.directory, "prize"),
            owner,
        ) {
            (Ok(remote), owner) => assert_eq!(remote.peer().pid, owner, "who is found"),
            (Err(error), None) => assert!(error.is_not_found(), "nobody: {error}"),
            (Err(error), Some(owner)) => panic!("{owner} is not found: {error}"),
        }
    }

    /// The name is there for whoever wants it next, who is found by it.
    fn expect_it_is_free(&self) {
        let next = self.place.port("prize", |_| ());
        self.expect_to_find(Some(std::process::id()));
        drop(next);
    }
}

fn start(place: &Place) -> Child {
    Child::start("contender", place, "prize")
}

#[test]
fn of_processes_that_race_for_a_name_one_has_it_and_those_that_are_killed_leave_it_free() {
    let _watchdog = watchdog();
    let count = scaled(12, 100);
    let mut race = Race::between(count);
    let (mut taken_by_the_killed, mut killed_owners) = (0, 0);
    for number in 0..scaled(40, 1_000) {
        // In every other round one is killed wherever it is: before, within or after its attempt.
        let killed_after = (number % 2 == 0).then_some(number / 2 % 12);
        let round = race.run(number * 7 % count, killed_after);
        let winner = round.winner.map(|winner| race.contenders[winner].pid());
        assert!(winner.is_some() || round.killed.is_some(), "{number}: none");
        for owner in round.owners {
            let known = Some(owner) == winner || Some(owner) == round.killed;
            assert!(known, "{number}: lost to {owner}, who did not try");
            taken_by_the_killed += usize::from(Some(owner) == round.killed);
        }
        race.expect_to_find(winner);
        if let Some(winner) = round.winner {
            if number % 4 == 1 {
                race.contenders[winner].kill();
                race.contenders[winner] = start(&race.place);
                killed_owners += 1;
            } else {
                race.contenders[winner].tell("give up");
                assert_eq!(race.contenders[winner].hear(), "gone");
            }
        }
        race.expect_it_is_free();
    }
    let left: Vec<_> = std::fs::read_dir(race.place.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    println!(
        "{killed_owners} owners were killed, and {taken_by_the_killed} lost to one that was killed while all tried"
    );
}

/// The other side: tries whenever it is told to, says how that went, and keeps the name until it is told not to.
pub(crate) fn contend(
    directory: &Directory,
    name: &str,
    say: impl Fn(&str),
    listen: impl Fn() -> String,
) {
    say("ready");
    loop {
        assert_eq!(listen(), "go");
        match LocalPort::create_in(directory, name, |_| ()).map_err(|refused| refused.error) {
            Ok(port) => {
                say("won");
                assert_eq!(listen(), "give up");
                drop(port);
                say("gone");
            }
            Err(CreateError::Claim(ClaimError::NameInUse { pid: Some(pid), .. })) => {
                say(&format!("lost to {pid}"));
            }
            // Its owner went away before it could be named.
            Err(CreateError::Claim(ClaimError::NameInUse { pid: None, .. })) => say("free again"),
            Err(error) => panic!("{error}"),
        }
    }
}
