//! The same promises where descriptors are scarce and the ends of a link wake each other over its socket.

use std::fs::File;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::{in_own_process, open_descriptors};

use crate::support::Place;

/// Takes so many descriptors that new links make do with few.
fn crowd() -> Vec<File> {
    let limit = Rlimit {
        current: Some(1_000),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    (0..500).map(|_| File::open("/dev/null").unwrap()).collect()
}

#[test]
fn links_of_a_crowded_process_have_no_bells_of_their_own() {
    in_own_process!({
        let bells = || {
            let open = open_descriptors();
            open.values()
                .filter(|target| target.contains("eventfd"))
                .count()
        };
        let place = Place::new();
        let _port = place.port("crowded", |_| ());
        let before = bells();
        let _remote = place.connect("crowded");
        assert_eq!(bells(), before + 2, "one in each direction");
        let _crowd = crowd();
        let _remote = place.connect("crowded");
        assert_eq!(bells(), before + 2, "none for the second link");
    });
}

/// Runs tests of other modules in a crowded process.
macro_rules! crowded {
    ($($name:ident: $module:ident::$test:ident;)*) => {$(
        #[test]
        fn $name() {
            in_own_process!({
                let _crowd = crowd();
                crate::$module::$test();
            });
        }
    )*};
}

crowded! {
    sizes: sizes::messages_and_replies_of_every_size_arrive_as_they_are_between_threads;
    sizes_of_another: sizes::messages_and_replies_of_every_size_arrive_as_they_are_between_processes;
    before_it_is_served: delivery::what_is_sent_before_the_port_is_in_a_loop_is_delivered_when_it_is;
    in_order: delivery::the_messages_of_one_link_arrive_in_the_order_in_which_they_were_sent;
    many_threads: threads::eight_threads_over_one_remote_get_each_its_own_replies;
    with_pauses: threads::requests_with_pauses_of_every_length_between_them_are_all_answered;
    many_clients: threads::more_clients_than_a_port_keeps_an_eye_on_are_all_heard;
    little_room: room::large_and_small_requests_of_many_threads_get_their_own_replies;
    in_pieces: room::a_message_in_pieces_comes_through_while_others_send_and_ask;
    without_room: statuses::a_message_without_room_fails_at_its_deadline_and_nothing_of_it_is_delivered_later;
    late_reply: statuses::a_late_reply_is_dropped_and_counted_and_the_next_request_gets_its_own;
    killed_in_its_handler: statuses::a_process_killed_in_its_handler_ends_the_request_at_once;
    last_words: ending::the_reply_of_a_handler_that_ends_its_own_port_arrives;
    ended_by_another_thread: ending::a_reply_in_the_making_goes_out_whole_when_another_thread_ends_the_port;
    behind_a_handler: ending::requests_that_wait_behind_a_running_handler_fail_at_once_when_the_port_is_ended;
    inside_a_handler: reentrancy::a_handler_that_runs_the_loop_is_given_the_next_message_of_the_same_client;
    asking_oneself: modes::a_request_to_a_port_of_this_thread_is_answered_in_a_mode_that_serves_it;
    each_other: modes::two_processes_that_ask_each_other_at_the_same_time_answer_each_other;
    left_asleep: waking::a_thread_that_has_its_reply_leaves_no_other_asleep;
    passed: passing::descriptors_arrive_with_their_message_and_their_reply_in_order;
    passed_by_many: passing::descriptors_of_many_threads_stay_with_their_messages;
    passed_between_processes: passing::pipes_work_through_two_processes_in_both_directions;
    passed_in_order: passing::messages_with_and_without_descriptors_keep_their_order;
    passed_on_a_queue: passing::a_port_on_a_queue_answers_later_with_descriptors_from_another_thread;
    passed_without_a_leak: passing::a_thousand_rounds_leave_no_descriptor_behind_here;
    no_leak: descriptors::two_hundred_links_leave_no_descriptor_behind_here;
}
