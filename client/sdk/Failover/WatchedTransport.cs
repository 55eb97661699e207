using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;

namespace IommuFd.Client;

/// <summary>The transport of a connection, which knows when bytes last came.</summary>
internal sealed class WatchedTransport : IDuplexPipe
{
    private readonly ConnectionContext _connection;
    private readonly TimeProvider _time;
    private readonly IDuplexPipe _inner;
    private long _lastHeard;

    public WatchedTransport(ConnectionContext connection, TimeProvider time)
    {
        (_connection, _time, _inner, _lastHeard) = (connection, time, connection.Transport, time.GetTimestamp());
        Input = new Reader(this, _inner.Input);
    }

    /// <summary>The time since bytes last came, or since the connection began.</summary>
    public TimeSpan Silence => _time.GetElapsedTime(Volatile.Read(ref _lastHeard));

    public PipeReader Input { get; }

    public PipeWriter Output => _inner.Output;

    /// <summary>Ends the connection.</summary>
    public void Abort() => _connection.Abort(new ConnectionAbortedException($"Nothing has come from the silo for {Silence.TotalSeconds:F1} s, while another one answers."));

    private void Hear() => Volatile.Write(ref _lastHeard, _time.GetTimestamp());

    private sealed class Reader(WatchedTransport transport, PipeReader inner) : PipeReader
    {
        public override void AdvanceTo(SequencePosition consumed)
        {
            transport.Hear();
            inner.AdvanceTo(consumed);
        }

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
        {
            transport.Hear();
            inner.AdvanceTo(consumed, examined);
        }

        public override void CancelPendingRead() => inner.CancelPendingRead();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);

        public override ValueTask CompleteAsync(Exception? exception = null) => inner.CompleteAsync(exception);

        public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) => inner.ReadAsync(cancellationToken);

        public override bool TryRead(out ReadResult result) => inner.TryRead(out result);
    }
}
