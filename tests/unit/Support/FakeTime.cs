using Microsoft.Extensions.Time.Testing;

namespace IommuFd.UnitTests.Support;

/// <summary>Lets fake time pass.</summary>
internal static class FakeTime
{
    /// <summary>
    /// Lets time pass in steps. What waits for it goes on here and now, as far as it comes by itself: when this returns, everything that was to happen has happened.
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

    /// <summary>Does something without the test's synchronization context, so that what it starts goes on where it is.</summary>
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
