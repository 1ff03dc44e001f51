-- Two roles, where an operator wants two: one owns everything and migrates, the other serves, and may only append to the
-- log. What writes the log does so as its owner; everything else a server does as itself. Roles are not made here, since
-- they are the cluster's and not the database's: `docs/operations/roles.md`.

-- A name means ours and nothing else, also where whoever calls has made a temporary table of that name.
alter function append_events security definer set search_path = public, pg_temp;
alter function write_side_rows set search_path = public, pg_temp;
alter function write_chat_rows set search_path = public, pg_temp;
alter function write_call_rows set search_path = public, pg_temp;
alter function append_chat_stream set search_path = public, pg_temp;
alter function use_chat_allowances set search_path = public, pg_temp;
alter function shut_out set search_path = public, pg_temp;
alter function erase_person set search_path = public, pg_temp;
alter function forget_customer set search_path = public, pg_temp;
alter function forget_card set search_path = public, pg_temp;
alter function forget_webhooks set search_path = public, pg_temp;

revoke execute on function append_events from public;

-- Gives a role what a server needs. Called by the owner after each migration, which may have made what the role does not
-- know yet; twice is as good as once.
create function let_serve(server name) returns void
language plpgsql
set search_path = public, pg_temp
as $$
declare
    mine  regrole := current_user::regrole;
    place name;
    thing regclass;
begin
    -- Two who grant at once would meet in the catalogue.
    perform pg_advisory_xact_lock(hashtext('let_serve'));
    if not exists (select from pg_roles where rolname = server) then
        raise exception 'there is no role %', server
            using hint = format('create role %I login password ''…''', server);
    end if;
    if pg_has_role(server, mine, 'member') then
        raise exception 'the role % may do all that the owner % may: give the server another', server, mine;
    end if;

    for place in
        select nspname from pg_namespace
        where nspname = 'public' or nspowner = mine and nspname not like 'pg\_%'
    loop
        execute format('grant usage on schema %I to %I', place, server);
    end loop;
    if has_schema_privilege(server, 'public', 'create') then
        raise exception 'the role % may put its own things among those of the log', server
            using hint = 'revoke create on schema public from public';
    end if;

    for thing in
        select c.oid::regclass from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.relowner = mine and c.relkind in ('r', 'p', 'v') and n.nspname not like 'pg\_%'
    loop
        execute format('grant select, insert, update, delete on %s to %I', thing, server);
    end loop;
    for thing in
        select c.oid::regclass from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.relowner = mine and c.relkind = 'S' and n.nspname not like 'pg\_%'
    loop
        execute format('grant usage, select on %s to %I', thing, server);
    end loop;
    -- Read models that are rebuilt are new tables in a new schema.
    execute format('alter default privileges grant usage on schemas to %I', server);
    execute format('alter default privileges grant select, insert, update, delete on tables to %I', server);
    execute format('alter default privileges grant usage, select on sequences to %I', server);

    -- The log, and what was migrated, are the owner's.
    execute format(
        'revoke insert, update, delete on events, batches, log_head, _sqlx_migrations from %I', server);
    execute format('grant execute on function append_events to %I', server);

    -- Tables of the queue show their rows to nobody but their owner, if they are not told to.
    for thing in
        select c.oid::regclass from pg_class c
        where c.relowner = mine and c.relrowsecurity
          and not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = server)
    loop
        execute format('create policy %I on %s to %I using (true) with check (true)', server, thing, server);
    end loop;
end $$;

revoke execute on function let_serve from public;
