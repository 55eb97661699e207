using IommuFd.Client;
using IommuFd.GrainInterfaces;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>Who sees whose refused DMA by a gateway.</summary>
public sealed class FaultTests(RemoteSilo silo) : IClassFixture<RemoteSilo>
{
    private static readonly FaultQuery All = new(null, null, 10);

    [Fact]
    public async Task Of_all_contexts_an_identity_sees_those_that_it_has_opened_or_was_granted_and_used()
    {
        var (alice, bob, user) = (silo.Client(RemoteSilo.AliceToken), silo.Client(RemoteSilo.BobToken), new IommufdClient(silo.Path));
        var context = await alice.OpenAsync("alice's");
        await using (var driver = await alice.GetDriverAsync(context.Handle, "vfio-pci"))
        {
            await (await driver.BindDeviceAsync(new DeviceDescription { Name = "0000:01:00.0" })).TranslateAsync(new[] { new DmaRange(0x1000, 8) }, write: true);
        }

        var fault = Assert.Single((await alice.ListFaultsAsync(All)).Faults);
        Assert.Empty((await bob.ListFaultsAsync(All)).Faults);
        Assert.Empty((await user.ListFaultsAsync(All with { Context = fault.Context })).Faults);
        Assert.Empty((await bob.ListFaultsAsync(All, context.Handle)).Faults);
        Assert.Equal(fault.Number, Assert.Single((await alice.ListFaultsAsync(All, context.Handle)).Faults).Number);

        var granted = await context.GrantAsync("token bob");
        Assert.Equal(fault.Number, Assert.Single((await bob.ListFaultsAsync(All, granted)).Faults).Number);
        await using (await bob.DuplicateAsync(granted))
        {
            Assert.Equal(fault.Context, Assert.Single((await bob.ListFaultsAsync(All)).Faults).Context);
        }

        await context.CloseAsync();
        Assert.Single((await alice.ListFaultsAsync(All)).Faults);
    }
}
