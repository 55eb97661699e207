using Microsoft.Extensions.Time.Testing;

namespace IommuFd.UnitTests.Support;

/// <summary>Advances fake time.</summary>
internal static class FakeTime
{
    /// <summary>
    /// Advances time in steps. Code that waits for it continues synchronously on this thread, as far as it can: when this returns,
    /// everything due has happened.
    /// </summary>
    public static void Pass(this FakeTimeProvider time, TimeSpan duration, TimeSpan? step = null)
    {
        var context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            var by = step ?? TimeSpan.FromMilliseconds(10);
            for (var passed = TimeSpan.Zero; passed < duration; passed += by)
            {
                time.Advance(by);
            }
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }

    /// <summary>Runs an action without the test's synchronization context, so that what it starts continues on the same thread.</summary>
    public static void Here(Action action)
    {
        var context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            action();
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }
}
