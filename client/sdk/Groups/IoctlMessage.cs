using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>A message of an <see cref="IoctlCombiner"/>.</summary>
internal abstract class IoctlMessage
{
    /// <summary>Sends it. When it is answered, the next one goes, and then the answers are handed out.</summary>
    public abstract void Send();
}

/// <summary>A message that is answered with a <typeparamref name="TReply"/>.</summary>
internal abstract class IoctlMessage<TReply> : IoctlMessage
    where TReply : class
{
    private Action? _onEnded;
    private ConfiguredValueTaskAwaitable<TReply>.ConfiguredValueTaskAwaiter _call;

    public override void Send()
    {
#pragma warning disable CA2012 // Awaited exactly once, in End.
        _call = Call().ConfigureAwait(false).GetAwaiter();
#pragma warning restore CA2012
        if (_call.IsCompleted)
        {
            End(isImmediate: true);
        }
        else
        {
            _call.UnsafeOnCompleted(_onEnded ??= () => End(isImmediate: false));
        }
    }

    /// <summary>Calls the context.</summary>
    protected abstract ValueTask<TReply> CallAsync();

    /// <summary>Ends the message: sends the next one, and hands out the answers.</summary>
    /// <param name="reply">The answer; null where there is none.</param>
    /// <param name="failure">Why there is none.</param>
    /// <param name="isImmediate">Whether nothing was sent.</param>
    protected abstract void End(TReply? reply, Exception? failure, bool isImmediate);

    // A grain reference throws what it finds out before it sends anything.
    private ValueTask<TReply> Call()
    {
        try
        {
            if (!CallHeaders.IsTimed())
            {
                return CallAsync();
            }

            using (CallHeaders.Put(isTimed: true))
            {
                return CallAsync();
            }
        }
        catch (Exception exception)
        {
            return ValueTask.FromException<TReply>(exception);
        }
    }

    private void End(bool isImmediate)
    {
        TReply? reply = null;
        Exception? failure = null;
        try
        {
            reply = _call.GetResult();
        }
        catch (Exception exception)
        {
            failure = exception;
        }

        End(reply, failure, isImmediate);
    }
}
