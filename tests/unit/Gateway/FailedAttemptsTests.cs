using System.Net;
using IommuFd.Silo.Gateway.Remote;
using IommuFd.Silo.Security;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace IommuFd.UnitTests.Gateway;

/// <summary>Guesses are slow, and floods fill neither memory nor the log.</summary>
public sealed class FailedAttemptsTests
{
    private static readonly TimeSpan Each = TimeSpan.FromSeconds(6);

    private static readonly IPAddress One = IPAddress.Parse("192.0.2.1"), Other = IPAddress.Parse("192.0.2.2");

    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void An_address_has_a_few_attempts_at_once_and_then_one_every_few_seconds()
    {
        var failed = new FailedAttempts((3, Each), _time);
        for (var i = 0; i < 3; i++)
        {
            Expect.Equal(TimeSpan.Zero, failed.Wait(One), $"the wait before attempt {i + 1}");
            failed.Add(One);
        }

        Expect.Equal(Each, failed.Wait(One), "the wait after three failures");
        Expect.Equal(TimeSpan.Zero, failed.Wait(Other), "another address's wait");
        _time.Advance(Each);
        Expect.Equal(TimeSpan.Zero, failed.Wait(One), "the wait after the time of one");
        failed.Add(One);
        Expect.Equal(Each, failed.Wait(One), "the wait after one more");
        _time.Advance(3 * Each);
        failed.Add(One);
        failed.Add(One);
        Expect.Equal(TimeSpan.Zero, failed.Wait(One), "the wait of one who has three again and has used two");
    }

    [Theory]
    [InlineData("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true)]
    [InlineData("2001:db8::1", "2001:db8:0:1::1", false)]
    [InlineData("::ffff:192.0.2.1", "192.0.2.1", true)]
    [InlineData("192.0.2.1", "192.0.2.3", false)]
    public void Addresses_of_one_network_count_together(string one, string other, bool together)
    {
        var failed = new FailedAttempts((1, Each), _time);
        failed.Add(IPAddress.Parse(one));

        Expect.Equal(together ? Each : TimeSpan.Zero, failed.Wait(IPAddress.Parse(other)), $"the wait of {other} after {one}");
    }

    [Fact]
    public void Of_many_addresses_those_that_failed_most_stay_known()
    {
        var failed = new FailedAttempts((2, Each), _time);
        failed.Add(One);
        failed.Add(One);
        for (var i = 0; i < 10_000; i++)
        {
            failed.Add(new IPAddress([10, 0, (byte)(i >> 8), (byte)i]));
        }

        Expect.Equal(Each, failed.Wait(One), "the wait of one who failed twice, after 10,000 others");
    }

    [Fact]
    public void Beyond_twenty_lines_in_ten_seconds_refusals_are_counted_and_the_next_line_says_how_many()
    {
        var lines = new Lines();
        var log = new RefusalLog(lines, _time);
        for (var i = 0; i < 1000; i++)
        {
            log.Add(One, null, "the token is wrong");
        }

        Expect.Equal(20, lines.Written.Count, "lines of 1,000 refusals");
        Expect.Equal("Refused a client of the gateway's port from 192.0.2.1 (nobody): the token is wrong. 0 more were refused since this was last said", lines.Written[0], "the first");
        _time.Advance(TimeSpan.FromSeconds(10));
        log.Add(Other, "token alice", "malformed");
        Expect.Equal("Refused a client of the gateway's port from 192.0.2.2 (token alice): malformed. 980 more were refused since this was last said", lines.Written[^1], "the next");
        Expect.Equal(1001L, log.Count, "refusals");
    }

    private sealed class Lines : ILogger
    {
        public List<string> Written { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Written.Add(formatter(state, exception));
    }
}
