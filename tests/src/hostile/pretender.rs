//! Something that pretends to be a port, and acts while a remote waits for it.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use messageport::{Options, RemotePort, SendError};
use runloop::{Mode, RunLoop, Signalled};

use super::attacker::{Attacker, Turn};
use super::script::Script;

/// A pretender, who has his turn whenever the loop runs in his mode.
pub(super) struct Pretender {
    scene: Rc<RefCell<Scene>>,
    turn: Signalled,
    mode: Mode,
}

struct Scene {
    attacker: Attacker,
    script: Script,
}

impl Scene {
    /// Acts until it is the remote's turn; at the end of the script it hangs up. Says whether there is more.
    fn play(&mut self) -> bool {
        loop {
            match self.attacker.act(&mut self.script) {
                Turn::Own => {}
                Turn::Theirs => return true,
                Turn::Over => {
                    self.attacker.leave();
                    return false;
                }
            }
        }
    }
}

impl Pretender {
    pub(super) fn new(attacker: Attacker, script: Script) -> Self {
        let scene = Rc::new(RefCell::new(Scene { attacker, script }));
        let again = Rc::new(OnceCell::<Signalled>::new());
        let (acting, own) = (Rc::clone(&scene), Rc::clone(&again));
        let turn = Signalled::new(move |_| {
            if acting.borrow_mut().play() {
                own.get().into_iter().for_each(Signalled::signal);
            }
        });
        again.set(turn.clone()).ok();
        let mode = Mode::new("hostile");
        RunLoop::current().add(&turn, mode).expect("it is valid");
        Self { scene, turn, mode }
    }

    /// Has the remote do the next thing of the script.
    pub(super) fn is_called_by(&self, remote: &RemotePort) -> Option<()> {
        let mut scene = self.scene.borrow_mut();
        let options = Options::new().in_mode(self.mode);
        match scene.script.below(8)? {
            0..=2 => {
                let bytes = scene.script.bytes(3);
                drop(scene);
                self.request(remote, &bytes, options);
            }
            3 => {
                // More than the ring holds.
                drop(scene);
                self.request(remote, &vec![3; 100_000], options);
            }
            4 => {
                let bytes = scene.script.bytes(2);
                drop(scene);
                self.turn.signal();
                let impatient = options.reply_timeout(Duration::ZERO);
                remote.request_with(4, &bytes, impatient).ok();
            }
            5 => {
                let bytes = scene.script.bytes(2);
                drop(scene);
                self.turn.signal();
                must_not_have_waited(remote.send_with(5, &bytes, options));
            }
            6 => {
                scene.play();
            }
            _ => {
                drop(scene);
                // To ask is to look.
                let _either = (remote.is_valid(), remote.late_replies());
            }
        }
        Some(())
    }

    fn request(&self, remote: &RemotePort, bytes: &[u8], options: Options) {
        self.turn.signal();
        must_not_have_waited(remote.request_with(1, bytes, options).map(drop));
    }
}

impl Drop for Pretender {
    fn drop(&mut self) {
        self.turn.invalidate();
    }
}

/// At the end of the script the pretender hangs up, which ends every call.
fn must_not_have_waited(ended: Result<(), SendError>) {
    let waited = matches!(
        ended,
        Err(SendError::SendTimeout | SendError::ReceiveTimeout)
    );
    assert!(!waited, "it waited for its deadline: {ended:?}");
}
