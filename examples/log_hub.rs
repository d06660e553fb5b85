//! A hub for log lines: `cargo run -p examples --bin log_hub [ADDRESS] [NAME]`. Programs connect by TCP and send lines,
//! which all of them get; operators talk through the port (`log_hub --tell NAME status|stop`); a timer keeps house.

use bytes::{Bytes, BytesMut};
use messageport::{LocalPort, Message, RemotePort, Reply};
use runloop::{Mode, RunLoop};
use socket_source::{Accepted, SendError, Socket, StreamEvent};
use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use timer_source::Timer;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name, command] = arguments.as_slice() {
        if flag == "--tell" {
            let reply = RemotePort::connect(name.as_str())?.request(1, command.as_bytes())?;
            println!("{}", String::from_utf8_lossy(&reply));
            return Ok(());
        }
    }
    let address = arguments.first().map_or("127.0.0.1:7001", String::as_str);
    let name = arguments.get(1).map_or("org.example.hub", String::as_str);
    run(address.parse()?, name)
}

/// Everything that is on the loop, and so on this one thread.
#[derive(Default)]
struct Hub {
    clients: HashMap<u64, Client>,
    next: u64,
    lines: u64,
    dropped: u64,
}

struct Client {
    socket: Socket,
    received: BytesMut,
    heard: Instant,
}

fn run(address: SocketAddr, name: &str) -> Result<(), Box<dyn Error>> {
    let (run_loop, hub) = (RunLoop::current(), Rc::new(RefCell::new(Hub::default())));

    let welcoming = Rc::clone(&hub);
    let listener = Socket::listening(address, move |run_loop, _, accepted| match accepted {
        Ok(accepted) => welcome(run_loop, &welcoming, accepted),
        Err(error) => eprintln!("log_hub: {error}"),
    })?;
    run_loop.add(&listener, Mode::DEFAULT)?;

    let commanded = Rc::clone(&hub);
    let port = LocalPort::create(name, move |message: Message| {
        command(&commanded, message.data())
    });
    let port = port.map_err(|refused| refused.error)?;
    run_loop.add(&port, Mode::DEFAULT)?;

    let kept = Rc::clone(&hub);
    let housekeeping = Timer::repeating(Duration::from_secs(1), move |_, _| {
        for client in kept.borrow().clients.values() {
            if client.heard.elapsed() >= IDLE_MAX {
                client.socket.invalidate();
            }
        }
        let mut hub = kept.borrow_mut();
        hub.clients.retain(|_, client| client.socket.is_valid());
    });
    run_loop.add(&housekeeping, Mode::DEFAULT)?;

    println!("{name} at {:?}", listener.local_address()?.as_socket());
    println!("the end: {:?}", run_loop.run()?);
    Ok(())
}

fn welcome(run_loop: &RunLoop, hub: &Rc<RefCell<Hub>>, accepted: Accepted) {
    let number = hub.borrow().next;
    let shared = Rc::clone(hub);
    let socket = Socket::reading(accepted, move |_, _, event| match event {
        StreamEvent::Data(bytes) => shared.borrow_mut().hear(number, &bytes),
        StreamEvent::Ended | StreamEvent::Failed(_) => {
            drop(shared.borrow_mut().clients.remove(&number))
        }
        _ => {}
    });
    let Ok(socket) = socket else { return };
    if run_loop.add(&socket, Mode::DEFAULT).is_ok() {
        let client = Client {
            socket,
            received: BytesMut::new(),
            heard: Instant::now(),
        };
        let mut hub = hub.borrow_mut();
        hub.clients.insert(number, client);
        hub.next += 1;
    }
}

fn command(hub: &Rc<RefCell<Hub>>, command: &[u8]) -> Reply {
    let hub = hub.borrow();
    match command {
        b"status" => {
            let (clients, lines, dropped) = (hub.clients.len(), hub.lines, hub.dropped);
            format!("{clients} clients, {lines} lines, {dropped} dropped").into()
        }
        b"stop" => {
            RunLoop::current().stop();
            "stopping".to_owned().into()
        }
        _ => "status or stop".to_owned().into(),
    }
}

impl Hub {
    /// Takes in what a client has sent, and passes whole lines on.
    fn hear(&mut self, number: u64, bytes: &[u8]) {
        let Some(client) = self.clients.get_mut(&number) else {
            return;
        };
        client.heard = Instant::now();
        client.received.extend_from_slice(bytes);
        let whole = client.received.iter().rposition(|&byte| byte == b'\n');
        let Some(end) = whole else {
            if client.received.len() > LINE_MAX {
                client.socket.invalidate();
                self.clients.remove(&number);
            }
            return;
        };
        let lines = client.received.split_to(end + 1).freeze();
        self.lines += lines.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.pass_on(&lines);
    }

    /// Lines go to everybody, without a copy; who does not read them loses some, and nobody else does.
    fn pass_on(&mut self, lines: &Bytes) {
        for client in self.clients.values() {
            if let Err(SendError::Full(_)) = client.socket.send(lines.clone()) {
                self.dropped += 1;
            }
        }
    }
}

const IDLE_MAX: Duration = Duration::from_secs(600);
const LINE_MAX: usize = 64 << 10;
