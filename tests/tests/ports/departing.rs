//! What is to be done once a reply is out, or lost.

use messageport::{Departure, Message, Reply};
use runloop::RunLoop;
use tests::{Log, Watchdog};

use crate::support::{Place, Server, patiently, run_until, wait_until};
use tests::raw::Client;

#[test]
fn what_is_to_be_done_after_a_reply_is_done_once_it_is_out() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let server = Server::start(&place, "restarts", move |message: Message| {
        let told = told.clone();
        let reply = Reply::from("good-bye").after(move |departure| {
            told.add(format!("{departure:?}"));
            // A server that ends itself: whoever asked has the answer already.
            if departure == Departure::Sent {
                RunLoop::current().stop();
            }
        });
        assert!(message.id() != 3, "as the test wants it");
        reply
    });
    let remote = place.connect("restarts");
    remote.send(1, b"").unwrap();
    wait_until(|| log.count() == 1);
    assert_eq!(log.take(), ["Lost"], "nobody wants a reply");
    assert_eq!(
        &remote.request_with(2, b"", patiently()).unwrap()[..],
        b"good-bye"
    );
    wait_until(|| log.count() == 1);
    assert_eq!(log.take(), ["Sent"]);
    drop(server);
}

#[test]
fn a_reply_that_is_too_large_for_the_ring_is_out_when_its_last_piece_is() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let _port = place.served("large", move |_| {
        let told = told.clone();
        let large = Reply::from(vec![7; 20 << 20]);
        large.after(move |departure| told.add(format!("{departure:?}")))
    });
    let remote = place.connect("large");
    let asked = std::thread::spawn(move || remote.request_with(1, b"", patiently()).unwrap());
    run_until(|| asked.is_finished());
    assert_eq!(asked.join().unwrap().len(), 20 << 20);
    run_until(|| log.count() == 1);
    assert_eq!(log.take(), ["Sent"]);
    // One that cannot be finished is lost.
    let client = Client::connect(&place.directory, "large");
    client.introduce();
    client.request(1, &[0; 8]);
    let began = || client.read(512) > 0;
    run_until(began);
    drop(client);
    run_until(|| log.count() == 1);
    assert_eq!(log.take(), ["Lost"]);
}

#[test]
fn a_reply_dropped_without_a_port_tells_that_it_is_lost() {
    let log = Log::new();
    for number in 1..=2 {
        let told = log.clone();
        drop(Reply::empty().after(move |departure| told.add(format!("{number} {departure:?}"))));
    }
    assert_eq!(log.take(), ["1 Lost", "2 Lost"]);
}
