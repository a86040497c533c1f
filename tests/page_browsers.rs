//! The page in Firefox, and by `make page-test` in WebKit: what people do on it most.

use std::net::SocketAddr;

use serde_json::json;

use crate::support::{Issuer, Page, TestServer, open_to_guests};
use crate::{
    page, page_app, page_busy, page_connection, page_directions, page_finding, page_looks,
    page_menu, page_notifications, page_private, page_reader, page_text, page_unread, page_window,
    page_writing,
};

/// Somebody in the lobby, if there is such a browser.
fn join(server: &TestServer) -> Option<Page> {
    let page = Page::open_elsewhere(server, "/")?;
    page.fill("Name", "ann");
    page.key("Enter");
    page.is_in();
    Some(page)
}

#[test]
fn people_talk_and_emoji_and_links_are_shown() {
    let server = TestServer::start();
    let Some(ann) = join(&server) else { return };
    let mut bob = server.join("bob");
    ann.shows("bob joined");
    ann.say("hello bob");
    bob.hears("ann: hello bob");
    bob.say("see https://example.org/a_(b), @ann :robot:");
    ann.shows("see https://example.org/a_(b), @ann \u{1f916}");
    let link = "document.querySelector('.text a')";
    assert_eq!(
        ann.value(&format!("{link}.href")),
        json!("https://example.org/a_(b)")
    );
    assert_eq!(
        ann.value("document.querySelector('.mention.me').innerText"),
        json!("@ann")
    );
    ann.fill("Message", "look: :robo");
    ann.until("!!document.querySelector('[role=option]')?.checkVisibility()");
    ann.key("Enter");
    ann.until("find('Message').value.includes('\u{1f916}')");
    ann.key("Enter");
    bob.hears("ann: look: \u{1f916}");
}

#[test]
fn a_private_conversation_has_a_row_and_a_past() {
    let server = TestServer::start();
    let Some(ann) = join(&server) else { return };
    let mut bob = server.join("bob");
    ann.shows("bob joined");
    bob.say("/msg ann psst");
    ann.until("/bob\\s*1/.test(document.querySelector('nav').innerText)");
    ann.press_containing("bob");
    ann.shows("psst");
    ann.say("just for you");
    bob.hears("ann (private): just for you");
    ann.press_containing("lobby");
    assert_eq!(ann.count("psst"), 0, "it is not said in the room");
}

#[test]
fn who_comes_back_misses_nothing_and_loses_nothing() {
    let server = TestServer::start();
    let Some(ann) = join(&server) else { return };
    ann.say("before");
    ann.shows("before");
    ann.reload();
    ann.has("Message");
    ann.shows("before");
    let addr = server.addr();
    server.stop();
    ann.says("No connection, trying again.");
    ann.say("while it was away");
    let server = TestServer::with(|config| config.listen = vec![addr]);
    let mut bob = server.join("bob");
    bob.hears_at_last("ann: while it was away");
    bob.say("welcome back");
    ann.shows("welcome back");
    assert_eq!(ann.count("while it was away"), 1);
}

fn is_webkit() -> bool {
    std::env::var("BROWSER").is_ok_and(|browser| browser == "webkit")
}

fn elsewhere(scheme: &str, addr: SocketAddr) -> Option<Page> {
    Page::open_elsewhere_as(scheme, addr, "/")
}

/// Ann in the lobby does the same as in Chromium.
fn as_ann(script: impl Fn(&TestServer, &Page)) {
    let server = TestServer::with(|config| config.rate = 0);
    if let Some(ann) = join(&server) {
        script(&server, &ann);
    }
}

#[test]
fn it_opens_without_a_connection() {
    let server = TestServer::start();
    let Some(ann) = join(&server) else { return };
    page_app::opens_without_a_connection(server, &ann);
}

#[test]
fn a_click_is_not_lost_while_messages_arrive() {
    as_ann(page::clicks_while_messages_arrive);
}

#[test]
fn a_room_opens_where_the_new_begins() {
    as_ann(page_unread::opens_a_room_with_news);
}

#[test]
fn only_messages_near_the_view_are_laid_out() {
    // Where the browser keeps no reader's place by itself, all are laid out, and the page keeps it.
    if !is_webkit() {
        as_ann(page_busy::lays_out_what_is_near);
    }
}

#[test]
fn a_reader_stays_where_they_are() {
    as_ann(page_reader::finds_the_place_again);
    as_ann(page_reader::scrolls_by_what_was_asked_for);
    as_ann(page_busy::stays_at_the_end);
    as_ann(page_reader::stays_at_the_end_that_is_gone_to);
    as_ann(page_reader::stays_at_the_end_below_changes);
}

#[test]
fn what_a_reader_looks_at_stays_while_the_oldest_messages_are_dropped() {
    let server = TestServer::with(|config| (config.rate, config.history) = (0, 3000));
    let Some(ann) = join(&server) else { return };
    page_reader::keeps_the_place_while_old_messages_are_dropped(&server, &ann);
}

#[test]
fn words_out_of_view_are_copied() {
    as_ann(page_reader::copies_words_out_of_view);
}

#[test]
fn links_end_where_the_sentence_goes_on() {
    as_ann(page_text::finds_links);
    as_ann(page_text::opens_rooms_in_place);
}

#[test]
fn every_emoji_is_one_picture() {
    as_ann(|_, ann| page_text::has_a_picture_for_every_emoji(ann));
}

#[test]
fn names_do_not_turn_sentences_around() {
    as_ann(page_directions::reads_names_of_both_directions);
    as_ann(page_directions::reads_texts_of_both_directions);
}

#[test]
fn commands_are_obeyed_and_what_only_looks_like_one_is_held_back() {
    as_ann(page_writing::obeys_commands);
    as_ann(page_writing::holds_back_what_looks_like_a_command);
}

#[test]
fn enter_takes_a_completion_only_if_it_is_meant() {
    as_ann(page_writing::takes_completions_that_are_meant);
}

#[test]
fn words_are_copied_alone_and_megabytes_are_not_taken() {
    as_ann(page_looks::copies_words_alone);
    as_ann(page_writing::takes_no_megabytes);
}

#[test]
fn a_dropped_file_is_not_opened_and_unsent_words_are_not_lost() {
    as_ann(page_window::takes_words_but_no_files);
    as_ann(page_window::asks_before_words_are_lost);
}

#[test]
fn long_and_strange_texts_keep_their_place() {
    as_ann(page_looks::folds_long_messages);
    as_ann(page_looks::keeps_marks_in_their_message);
}

#[test]
fn a_conversation_is_printed_on_as_many_sheets_as_it_needs() {
    as_ann(page_looks::prints_all);
}

#[test]
fn a_low_screen_has_room_for_send() {
    as_ann(page_looks::reaches_send);
}

/// A page at its door does the same as in Chromium.
fn at_the_door(server: &TestServer, script: impl Fn(&TestServer, &Page)) {
    if let Some(page) = Page::open_elsewhere(server, "/") {
        script(server, &page);
    }
}

#[test]
fn back_closes_a_drawer_and_then_leaves_the_page() {
    let server = TestServer::start();
    if let Some(page) = Page::open_elsewhere(&server, "/healthz") {
        page_window::goes_back(&page);
    }
}

#[test]
fn zooming_with_two_fingers_leaves_the_page_as_high_as_it_is() {
    at_the_door(&TestServer::start(), page_window::stays_as_high);
}

#[test]
fn today_is_yesterday_after_midnight() {
    at_the_door(&TestServer::start(), page_window::sees_midnight);
}

#[test]
fn names_are_counted_as_the_server_counts() {
    at_the_door(&TestServer::start(), |_, page| {
        page_directions::counts_names_as_the_server(page);
    });
}

#[test]
fn a_full_server_says_so_and_lets_people_in_once_there_is_room() {
    let server = TestServer::with(|config| config.max_peers = 1);
    at_the_door(&server, page_connection::waits_for_room);
}

#[test]
fn too_many_connections_from_one_address_are_reported() {
    let server = TestServer::with(|config| config.max_peers_per_ip = Some(1));
    at_the_door(&server, page_connection::reports_too_many_connections);
}

#[test]
fn a_proxy_that_is_set_up_wrongly_is_reported() {
    page_connection::reports_a_hidden_host(elsewhere);
    page_connection::reports_a_missing_upgrade(elsewhere);
    page_connection::reports_a_wrong_name(elsewhere);
    page_connection::reports_a_server_that_is_down(elsewhere);
    page_connection::asks_about_few_attempts(elsewhere);
}

#[test]
fn a_phone_out_of_a_pocket_shows_at_once_what_was_missed() {
    page_connection::comes_out_of_a_pocket(elsewhere);
}

#[test]
fn a_new_version_is_there_with_the_next_load_and_none_is_forced() {
    page_app::takes_a_new_version(elsewhere);
}

#[test]
fn who_looks_elsewhere_is_told_of_private_messages_and_of_the_own_name() {
    as_ann(|server, ann| {
        if page_notifications::switches_on(ann) {
            page_notifications::is_told_what_concerns_them(server, ann);
        }
    });
}

#[test]
fn nobody_is_asked_for_notifications_before_they_are_wanted() {
    as_ann(page_notifications::asks_nothing_before);
}

#[test]
fn what_was_not_seen_is_new() {
    as_ann(page_unread::waits_for_the_focus);
    as_ann(page_unread::begins_with_news_after_a_hidden_tab);
    as_ann(page_unread::keeps_news_over_a_reload);
    as_ann(page_unread::goes_to_the_end);
}

#[test]
fn private_conversations_are_apart_from_rooms() {
    as_ann(page_private::has_a_conversation_for_each);
    as_ann(page_private::opens_conversations);
    as_ann(page_private::has_a_past_after_a_reload);
    as_ann(page_private::shows_what_another_window_wrote);
    as_ann(page_private::keeps_what_is_not_delivered);
}

#[test]
fn people_and_rooms_are_found() {
    as_ann(page_finding::finds_people);
    as_ann(page_finding::finds_rooms);
    // WebKit lends the clipboard only if its user agrees.
    if !is_webkit() {
        as_ann(page_finding::copies_the_address);
    }
    as_ann(page_finding::shows_the_address);
}

#[test]
fn names_and_emoji_are_offered() {
    as_ann(page_notifications::completes_names);
    as_ann(page_writing::offers_a_grid_of_emoji);
    as_ann(page_writing::leaves_room_above_completions);
    as_ann(page_text::enlarges_a_few_emoji);
}

#[test]
fn the_page_is_calm() {
    as_ann(page_looks::shows_a_time_once_a_minute);
    as_ann(page_looks::asks_before_a_room_is_left);
}

#[test]
fn people_keep_order_on_their_own_page() {
    as_ann(page_menu::takes_own_words_back);
    as_ann(page_menu::ignores_somebody);
    as_ann(page_menu::is_used_with_the_keyboard);
}

#[test]
fn moderators_keep_order_from_a_menu() {
    let issuer = Issuer::hs256();
    let server = TestServer::with(|config| open_to_guests(config, &issuer));
    let token = issuer.sign(json!({"sub": "mo", "mod": ["lobby"]}));
    let Some(moderator) = Page::open_elsewhere(&server, &format!("/#token={token}")) else {
        return;
    };
    moderator.press("Join");
    moderator.is_in();
    page_menu::keeps_order(&server, &moderator, &moderator);
}
