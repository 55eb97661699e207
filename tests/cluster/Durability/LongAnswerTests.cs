using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Durability;

/// <summary>The answer to a batch that goes in parts: it is kept until it is settled, also where it changes nothing and another activation is asked for the rest.</summary>
public sealed class LongAnswerTests
{
    private const long Session = 7;
    // Two parts of an answer.
    private const int Ioctls = 30;

    [Theory]
    [InlineData(ContextMode.Volatile)]
    [InlineData(ContextMode.Durable)]
    public async Task The_parts_of_an_answer_are_there_until_it_is_settled(ContextMode mode)
    {
        await using var place = JournalSilo.NewPlace();
        await using var silo = await JournalSilo.StartAsync(place.Settings.Path!, new ContextOptions { Lease = TimeSpan.Zero });
        var handle = ContextHandle.NewRandom();
        var context = silo.Context(handle);
        Assert.Equal(Errno.None, (await context.OpenAsync(new OpenRequest(mode, "opener", Session))).Errno);
        await HoldAsync(context);
        var operation = new OperationId(Session, 2, 1, false);
        var batch = new IoctlBatchRequest { Requests = [.. Enumerable.Repeat(Requests.Destroy(1), Ioctls)], TakesParts = true };

        var first = await context.IoctlBatchAsync(batch, operation);
        Assert.InRange(first.Missing, 1, Ioctls - 1);
        Assert.Equal(Ioctls, first.Replies.Length + first.Missing);
        if (mode == ContextMode.Durable)
        {
            await silo.StealAsync(handle);
        }

        var again = await Requests.UntilAnsweredAsync(() => context.IoctlBatchAsync(batch, operation with { IsRepeat = true }).AsTask());
        Assert.Equal((first.Replies.Length, first.Missing), (again.Replies.Length, again.Missing));
        var rest = await context.IoctlBatchRestAsync(operation, first.Replies.Length);
        Assert.Equal((Errno.None, first.Missing, 0), (rest.Errno, rest.Replies.Length, rest.Missing));
        Assert.All([.. first.Replies, .. rest.Replies], reply => Assert.Equal(Errno.EBUSY, reply.Errno));

        Assert.Equal(Errno.None, (await context.IoctlAsync(Requests.Alloc(), new OperationId(Session, 3, 2, false))).Errno);
        Assert.Equal(Errno.ESTALE, (await context.IoctlBatchRestAsync(operation, first.Replies.Length)).Errno);
        Assert.Equal(Errno.EBADF, (await context.IoctlBatchRestAsync(operation with { Session = 8 }, 0)).Errno);
        Assert.Equal(Errno.ESTALE, (await context.IoctlBatchRestAsync(new OperationId(Session, 9, 2, false), 0)).Errno);
    }

    [Fact]
    public async Task A_caller_that_takes_no_parts_gets_the_whole_answer()
    {
        await using var place = JournalSilo.NewPlace();
        await using var silo = await JournalSilo.StartAsync(place.Settings.Path!, new ContextOptions { Lease = TimeSpan.Zero });
        var context = silo.Context(ContextHandle.NewRandom());
        Assert.Equal(Errno.None, (await context.OpenAsync(new OpenRequest(ContextMode.Volatile, "opener", Session))).Errno);
        await HoldAsync(context);
        var reply = await context.IoctlBatchAsync(new IoctlBatchRequest { Requests = [.. Enumerable.Repeat(Requests.Destroy(1), Ioctls)] }, new OperationId(Session, 2, 1, false));
        Assert.Equal((Ioctls, 0), (reply.Replies.Length, reply.Missing));
    }

    // An IOAS whose DESTROY is refused with a long list of holders.
    private static async Task HoldAsync(ContextCalls context)
    {
        Assert.Equal(Errno.None, (await context.IoctlAsync(Requests.Alloc(), new OperationId(Session, 1, 0, false))).Errno);
        var name = new string('n', IoctlLimits.MaxNameLength);
        var driver = await context.GetAsync(new GetRequest(ReferenceKind.Driver, name, Session + 10));
        for (var i = 1; i <= IoctlLimits.MaxListed; i++)
        {
            var hold = await context.DriverAsync(driver.Reference, new HoldObjectRequest(new ObjectId(1), ObjectType.Any, name), new OperationId(Session + 10, i, i - 1, false));
            Assert.Equal(Errno.None, hold.Errno);
        }
    }
}
