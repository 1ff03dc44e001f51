-- Chats: what was said, how much of it a day may have, what is told of it as it happens, and the read
-- model.
--
-- The first of these stand beside the log, and are no projections: the log is for ever, and neither a
-- text that its author has deleted nor a word that was told while a reply was made may be. What is
-- deleted here is gone; that it was there, the log says.

-- A chat that is there. Whatever else stands beside the log of a chat hangs on this row, and goes with
-- it. Its last number is that of what was told last.
create table chat_streams (
    chat_id uuid   primary key,
    user_id uuid   not null,
    last    bigint not null default 0
) with (fillfactor = 70);
create index on chat_streams (user_id);

-- What was said, by the id of the message, and titles, by the id of the chat; sealed with the person's
-- key.
create table chat_texts (
    text_id    uuid        primary key,
    chat_id    uuid        not null references chat_streams on delete cascade,
    user_id    uuid        not null,
    sealed     text        not null,
    created_at timestamptz not null default now()
);
create index on chat_texts (chat_id);

-- What is told of a chat as it happens, in the order in which whoever listens is to hear it.
create table chat_stream (
    chat_id    uuid        not null references chat_streams on delete cascade,
    seq        bigint      not null,
    kind       text        not null,
    message_id uuid,
    sealed     text,
    created_at timestamptz not null default now(),
    primary key (chat_id, seq)
);

-- How many replies a person has asked for on a day.
create table chat_days (
    user_id uuid not null,
    day     date not null,
    used    int  not null check (used >= 0),
    primary key (user_id, day)
);

-- Tells something of a chat; gives back its number, or null where the chat is gone. The row is locked up
-- to the commit, so that who commits first has the lower number: whoever has read up to a number
-- misses none below it. For the same reason a transaction tells of one chat only, and ends soon.
create function append_chat_stream(chat uuid, what text, message uuid, content text) returns bigint
language plpgsql
set search_path = public
as $$
declare
    number bigint;
begin
    update chat_streams s set last = s.last + 1 where s.chat_id = chat returning s.last into number;
    if number is not null then
        insert into chat_stream (chat_id, seq, kind, message_id, sealed)
        values (chat, number, what, message, content);
        perform pg_notify('chat', chat::text);
    end if;
    return number;
end $$;

create schema chats;

insert into projections.checkpoints (name) values ('chats');

create table chats.chats (
    chat_id      uuid        primary key,
    user_id      uuid        not null,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    -- Replies included, whatever became of them.
    messages     int         not null default 0,
    unread       int         not null default 0,
    -- The last that has something to read, and who said it.
    last_message uuid,
    last_role    text,
    -- The reply that is under way, or the next.
    waiting      uuid,
    -- Whether it is to stop.
    cancel_asked boolean     not null default false
);
create index on chats.chats (user_id, updated_at desc, chat_id desc);
create index on chats.chats (waiting) where waiting is not null;

create table chats.messages (
    message_id    uuid        primary key,
    chat_id       uuid        not null,
    -- The event that brought it.
    position      bigint      not null,
    -- Its place in the chat, from 1.
    number        int         not null,
    role          text        not null,
    state         text        not null,
    -- What a reply replies to, and the reply that came after one that came to nothing.
    answers       uuid,
    retried_by    uuid,
    -- The one that is to reply; once it has, the one that did.
    model         text,
    finish        text,
    hold_id       uuid,
    credits       bigint      not null default 0,
    input_tokens  bigint,
    output_tokens bigint,
    code          text,
    created_at    timestamptz not null,
    completed_at  timestamptz
);
create unique index on chats.messages (chat_id, number);
-- What waits in a long chat is not looked for among all that was said in it.
create index on chats.messages (chat_id, number) where state = 'queued';
