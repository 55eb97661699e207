using System.IO.Pipelines;
using IommuFd.Client;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Time.Testing;

namespace IommuFd.UnitTests.Client;

/// <summary>Connections to silos: those that are silent while others answer are aborted, and no others.</summary>
public sealed class GatewayWatchTests : IDisposable
{
    private static readonly TimeSpan Long = GatewayWatch.Patience + GatewayWatch.Interval;

    private readonly FakeTimeProvider _time = new();
    private readonly List<Peer> _peers = [];
    private readonly GatewayWatch _watch;
    private int _asked;

    public GatewayWatchTests() => _watch = new GatewayWatch(
        () =>
        {
            _asked++;
            return Task.CompletedTask;
        },
        _time);

    public void Dispose()
    {
        _watch.Dispose();
        _peers.ForEach(peer => peer.Dispose());
    }

    [Fact]
    public async Task A_silent_one_is_aborted_while_another_answers()
    {
        var (silent, other) = (Connect(), Connect());
        await PassAsync(Long, () => other.SayAsync());

        Assert.True(silent.IsAborted, "the silent connection is aborted");
        Assert.False(other.IsAborted, "the connection that answers stays");
    }

    [Fact]
    public async Task One_that_answers_what_it_is_asked_stays()
    {
        var peers = new[] { Connect(), Connect() };
        await PassAsync(10 * Long, () => Task.WhenAll(peers.Select(peer => peer.SayAsync())));

        Assert.All(peers, peer => Assert.False(peer.IsAborted, "a connection that answers stays"));
    }

    [Fact]
    public async Task Where_all_are_silent_none_is_aborted_and_all_are_asked()
    {
        var peers = new[] { Connect(), Connect() };
        await PassAsync(10 * Long, () => Task.CompletedTask);

        Assert.All(peers, peer => Assert.False(peer.IsAborted, "there is nothing better to go to"));
        Assert.True(_asked >= 2 * peers.Length, $"all are asked more than once; {_asked} questions for {peers.Length} connections");
    }

    [Fact]
    public async Task Nothing_is_asked_while_bytes_come_or_after_the_last_connection()
    {
        var peer = Connect();
        for (var i = 0; i < 100; i++)
        {
            _time.Advance(GatewayWatch.Interval / 10);
            await peer.SayAsync();
        }

        Assert.Equal(0, _asked);
        await peer.EndAsync();
        _time.Advance(10 * Long);
        Assert.Equal(0, _asked);
    }

    [Fact]
    public async Task Bytes_pass_both_ways_unchanged()
    {
        var peer = Connect();
        await peer.SayAsync(7);
        Assert.Equal(7, peer.Heard);
        Assert.Equal(8, await peer.AnswerAsync(8));
    }

    private Peer Connect()
    {
        var peer = new Peer(_watch);
        _peers.Add(peer);
        return peer;
    }

    private async Task PassAsync(TimeSpan time, Func<Task> each)
    {
        for (var passed = TimeSpan.Zero; passed <= time; passed += GatewayWatch.Interval)
        {
            await each();
            _time.Advance(GatewayWatch.Interval);
        }
    }

    /// <summary>A silo's end of a connection, and what is behind the watch at the client's.</summary>
    private sealed class Peer : IDisposable
    {
        private readonly Pipe _toClient = new(), _toSilo = new();
        private readonly ConnectionContext _connection = new DefaultConnectionContext();
        private readonly SemaphoreSlim _said = new(0);
        private readonly Task _running;

        public Peer(GatewayWatch watch)
        {
            _connection.Transport = new Ends(_toClient.Reader, _toSilo.Writer);
            _connection.ConnectionClosed.Register(() => IsAborted = true);
            _running = watch.Watch(ListenAsync)(_connection);
        }

        public bool IsAborted { get; private set; }

        public byte Heard { get; private set; }

        public async Task SayAsync(byte what = 1)
        {
            await _toClient.Writer.WriteAsync(new[] { what });
            await _said.WaitAsync();
        }

        public async Task<byte> AnswerAsync(byte what)
        {
            await _connection.Transport.Output.WriteAsync(new[] { what });
            var read = await _toSilo.Reader.ReadAsync();
            return read.Buffer.FirstSpan[0];
        }

        public async Task EndAsync()
        {
            await _toClient.Writer.CompleteAsync();
            await _running;
        }

        public void Dispose() => _said.Dispose();

        private async Task ListenAsync(ConnectionContext connection)
        {
            while (await connection.Transport.Input.ReadAsync() is { IsCompleted: false } read)
            {
                Heard = read.Buffer.FirstSpan[0];
                connection.Transport.Input.AdvanceTo(read.Buffer.End);
                _said.Release();
            }
        }

        private sealed record Ends(PipeReader Input, PipeWriter Output) : IDuplexPipe;
    }
}
