-- A title that is made of the first message stands only where there is none: whoever writes the message looks before the log
-- has it, and somebody may call the chat something in between. That is decided where the row is written.

-- As in 0005, and with such titles.
create or replace function write_chat_rows(side jsonb, refused int[]) returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
    insert into chat_streams (chat_id, user_id)
    select r.chat_id, r.user_id
    from jsonb_to_recordset(side) as r (unit int, kind text, chat_id uuid, user_id uuid)
    where r.kind = 'chat_opened' and r.unit <> all (refused)
      and exists (select from person_keys k where k.user_id = r.user_id and k.destroyed_at is null);

    insert into chat_texts as t (text_id, chat_id, user_id, sealed)
    select r.text_id, r.chat_id, r.user_id, r.sealed
    from jsonb_to_recordset(side)
        as r (unit int, kind text, text_id uuid, chat_id uuid, user_id uuid, sealed text)
    join chat_streams s on s.chat_id = r.chat_id and s.user_id = r.user_id
    where r.kind = 'chat_text' and r.unit <> all (refused)
    on conflict (text_id) do update set sealed = excluded.sealed where t.chat_id = excluded.chat_id;

    insert into chat_texts (text_id, chat_id, user_id, sealed)
    select r.chat_id, r.chat_id, r.user_id, r.sealed
    from jsonb_to_recordset(side) as r (unit int, kind text, chat_id uuid, user_id uuid, sealed text)
    join chat_streams s on s.chat_id = r.chat_id and s.user_id = r.user_id
    where r.kind = 'chat_first_title' and r.unit <> all (refused)
    on conflict (text_id) do nothing;

    perform append_chat_stream(r.chat_id, r.what, r.message_id, r.sealed)
    from jsonb_array_elements(side) with ordinality as e (line, n),
        jsonb_to_record(e.line)
            as r (unit int, kind text, chat_id uuid, what text, message_id uuid, sealed text)
    where r.kind = 'chat_stream' and r.unit <> all (refused)
    order by e.n;

    -- Texts and stream go with it.
    perform pg_notify('chat', r.chat_id::text)
    from jsonb_to_recordset(side) as r (unit int, kind text, chat_id uuid)
    where r.kind = 'chat_forgotten' and r.unit <> all (refused);
    delete from chat_streams s
    using jsonb_to_recordset(side) as r (unit int, kind text, chat_id uuid)
    where r.kind = 'chat_forgotten' and r.unit <> all (refused) and s.chat_id = r.chat_id;

    update chat_days d set used = greatest(d.used - b.units, 0)
    from (select r.user_id, r.day, count(*)::int as units
          from jsonb_to_recordset(side) as r (unit int, kind text, user_id uuid, day date)
          where r.kind = 'chat_allowance_back' and r.unit <> all (refused)
          group by r.user_id, r.day) b
    where d.user_id = b.user_id and d.day = b.day;
end $$;
