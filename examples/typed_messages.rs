//! Messages with types: `serde` says what they are, `postcard` how they travel, and the port carries bytes.
//! `cargo run -p examples --example typed_messages`

use messageport::{LocalPort, Message, RemotePort};
use runloop::{Mode, RunLoop};
use serde::{Deserialize, Serialize};
use std::error::Error;

#[derive(Deserialize, Serialize)]
enum Question {
    Distance { from: Point, to: Point },
    Mean(Vec<f64>),
}

#[derive(Debug, Deserialize, Serialize)]
enum Answer {
    Distance(f64),
    Mean(f64),
    Refused(String),
}

#[derive(Deserialize, Serialize)]
struct Point {
    x: f64,
    y: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let name = format!("org.example.typed-messages.{}", std::process::id());
    let port = LocalPort::create(&name, |message: Message| {
        // The bytes of others are checked, and what is wrong with them is an answer too.
        let answer = match postcard::from_bytes(message.data()) {
            Ok(question) => answer(question),
            Err(error) => Answer::Refused(error.to_string()),
        };
        postcard::to_stdvec(&answer).unwrap_or_default()
    })?;
    let run_loop = RunLoop::current();
    run_loop.add(&port, Mode::DEFAULT)?;
    let main = run_loop.handle();
    let client = std::thread::spawn(move || {
        let asked = ask_everything(&name).map_err(|error| error.to_string());
        main.stop().ok();
        asked
    });
    let _stopped = run_loop.run()?;
    Ok(client.join().expect("the client does not panic")?)
}

fn answer(question: Question) -> Answer {
    match question {
        Question::Distance { from, to } => Answer::Distance((to.x - from.x).hypot(to.y - from.y)),
        Question::Mean(numbers) if numbers.is_empty() => Answer::Refused("no numbers".into()),
        Question::Mean(numbers) => {
            let count = numbers.len() as f64;
            Answer::Mean(numbers.into_iter().sum::<f64>() / count)
        }
    }
}

fn ask_everything(name: &str) -> Result<(), Box<dyn Error>> {
    let remote = RemotePort::connect(name)?;
    let (from, to) = (Point { x: 0.0, y: 0.0 }, Point { x: 3.0, y: 4.0 });
    println!("{:?}", ask(&remote, &Question::Distance { from, to })?);
    println!("{:?}", ask(&remote, &Question::Mean(vec![1.0, 2.0]))?);
    println!("{:?}", ask(&remote, &Question::Mean(vec![]))?);
    println!("{:?}", ask(&remote, &"not a question")?);
    Ok(())
}

fn ask(remote: &RemotePort, question: &impl Serialize) -> Result<Answer, Box<dyn Error>> {
    let reply = remote.request(0, &postcard::to_stdvec(question)?)?;
    Ok(postcard::from_bytes(&reply)?)
}
