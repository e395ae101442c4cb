#include "pipeline.h"

#include <cstdio>
#include <cstdlib>
#include <thread>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace bench
{

enum { EVENTS_PER_TURN = 64 };
static const uint64_t kWake =
    UINT64_MAX; /* epoll data of the wake descriptor; a lane has its index */

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    std::fprintf(stderr, "peer: pipeline: %s\n", what);
    std::exit(1);
}

Pipeline::Pipeline(size_t connections, const std::string &conninfo)
    : lanes(connections), epoll_fd(epoll_create1(EPOLL_CLOEXEC)),
      wake_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC))
{
    require(epoll_fd >= 0 && wake_fd >= 0, "no descriptors");
    epoll_event wake{};
    wake.events = EPOLLIN;
    wake.data.u64 = kWake;
    require(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &wake) == 0,
            "epoll refused the wake event");
    for (size_t i = 0; i < lanes.size(); i++) {
        Lane &lane = lanes[i];
        lane.connection = connect_for_lookup(conninfo);
        require(PQsetnonblocking(lane.connection.get(), 1) == 0 &&
                    PQenterPipelineMode(lane.connection.get()) == 1,
                "no pipeline mode");
        watch(i, EPOLLIN, EPOLL_CTL_ADD);
    }
    std::thread([this] { run(); }).detach();
}

void Pipeline::submit(const Job &job)
{
    bool wake;
    {
        std::lock_guard<std::mutex> lock(mutex);
        waiting.push_back(job);
        wake = !woken;
        woken = true;
    }
    if (wake)
        require(eventfd_write(wake_fd, 1) == 0, "the wake event failed");
}

void Pipeline::run()
{
    epoll_event events[EVENTS_PER_TURN];
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS_PER_TURN, -1);
        bool wake = false;
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 == kWake) {
                wake = true;
                continue;
            }
            size_t index = events[i].data.u64;
            if (events[i].events & EPOLLOUT)
                flush(lanes[index], index);
            receive(lanes[index]);
        }
        if (wake)
            send_waiting();
    }
}

/* All that waits goes out in this turn, with one Sync per connection behind it. */
void Pipeline::send_waiting()
{
    eventfd_t ignored;
    (void)eventfd_read(wake_fd, &ignored);
    {
        std::lock_guard<std::mutex> lock(mutex);
        taken.swap(waiting);
        woken = false;
    }
    for (const Job &job : taken) {
        Lane &lane = lanes[next_lane++ % lanes.size()];
        const char *values[] = { job.code->c_str() };
        require(PQsendQueryPrepared(lane.connection.get(), kLookupStatement, 1, values, nullptr,
                                    nullptr, 1) == 1,
                "a query was not sent");
        lane.in_flight.push_back(job);
        lane.unsynced = true;
    }
    taken.clear();
    for (size_t i = 0; i < lanes.size(); i++) {
        if (!lanes[i].unsynced)
            continue;
        lanes[i].unsynced = false;
        require(PQpipelineSync(lanes[i].connection.get()) == 1, "no Sync");
        flush(lanes[i], i);
    }
}

void Pipeline::flush(Lane &lane, size_t index)
{
    int left = PQflush(lane.connection.get());
    require(left >= 0, "the database is gone");
    if ((left > 0) == lane.waits_for_room)
        return;
    lane.waits_for_room = left > 0;
    watch(index, left > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}

void Pipeline::receive(Lane &lane)
{
    PGconn *connection = lane.connection.get();
    require(PQconsumeInput(connection) == 1, "the database is gone");
    /* Each query ends with a NULL; a second one in a row means that nothing is left. */
    for (int nulls = 0; nulls < 2 && !PQisBusy(connection);) {
        Result result(PQgetResult(connection));
        if (!result) {
            nulls++;
            continue;
        }
        nulls = 0;
        if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC)
            continue;
        require(!lane.in_flight.empty(), "an answer without a query");
        Job job = lane.in_flight.front();
        lane.in_flight.pop_front();
        job.reactor->Finish(street_from_result(result.get(), job.record));
    }
}

void Pipeline::watch(size_t index, uint32_t events, int operation)
{
    epoll_event event{};
    event.events = events;
    event.data.u64 = index;
    require(epoll_ctl(epoll_fd, operation, PQsocket(lanes[index].connection.get()), &event) == 0,
            "epoll refused a connection");
}

} // namespace bench
