/* Lookups from any thread through a few libpq connections in pipeline mode, driven by one epoll
 *   thread.
 * Ownership: the Pipeline owns its connections and thread; a Job's pointers belong to the
 *   caller.
 * Callbacks: finishes the reactor of a Job once, on the pipeline's thread.
 * Limits: none of its own; what the callers have in flight is in flight.
 * Does not reconnect: a lost database ends the process. */
#ifndef SLUICE_BENCH_PIPELINE_H
#define SLUICE_BENCH_PIPELINE_H

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "database.h"

namespace bench
{

class Pipeline
{
  public:
    struct Job {
        const std::string *code;
        gov::division::v1::Division *record;
        grpc::ServerUnaryReactor *reactor; /* finished with the lookup's status */
    };

    Pipeline(size_t connections, const std::string &conninfo);
    void submit(const Job &job);

  private:
    struct Lane {
        Connection connection;
        std::deque<Job> in_flight;
        bool unsynced = false;
        bool waits_for_room = false;
    };

    [[noreturn]] void run();
    void send_waiting();
    void flush(Lane &lane, size_t index);
    void receive(Lane &lane);
    void watch(size_t index, uint32_t events, int operation);

    std::mutex mutex;
    std::vector<Job> waiting; /* guarded by mutex */
    bool woken = false;       /* guarded by mutex: the event descriptor is readable already */

    std::vector<Job> taken; /* the rest belongs to the thread */
    std::vector<Lane> lanes;
    size_t next_lane = 0;
    int epoll_fd;
    int wake_fd;
};

} // namespace bench

#endif
